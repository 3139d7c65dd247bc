"""Whether attention says what a decision rests on: take the most attended tokens away and look.

A map of attention is a picture of weights, not an explanation. Here tokens are masked, most
attended first, as if they had not been there, and the probability of the class that was said is
watched, beside as many tokens taken at random and beside the least attended ones.

Letters in shapes: W ways of showing a clip, R RGB tokens, P pose tokens.

The deletion test as curves: probability left when tokens are taken away, by attention or not.
"""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from einops import repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from imigue_lab.errors import RunError
from imigue_lab.models.tokens import Tokens
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.system import GestureBatch, GestureSystem
from imigue_lab.training.runs import Run
from imigue_lab.training.statistics import draw_groups
from imigue_lab.views.attention.maps import ALL, ClipAttention, one_clip, read_attention
from imigue_lab.views.style import notes_of, styled

AT_ONCE = 8  # ways in a batch
SHARES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
MOST, RANDOM, LEAST = "most attended", "at random", "least attended"


def held_out(gesture: GestureRun, most: int = 40, seed: int = 0) -> list[str]:
    """So many clips of test, else of validation, else of train; drawn at random."""
    parts = (gesture.data.part(split).clip_id for split in ("test", "validation", "train"))
    clips = next(part for part in parts if len(part))
    return clips.sample(min(most, len(clips)), random_state=seed).tolist()


@torch.no_grad()
def probabilities_when(
    system: GestureSystem,
    batch: GestureBatch,
    rgb: Bool[np.ndarray, "W R"],
    pose: Bool[np.ndarray, "W P"],
) -> Float[np.ndarray, "W classes"]:
    """What the model says of one clip for each way of showing it.

    Args:
        batch: of one clip.
        rgb, pose: tokens that are shown.
    """
    tokens = system.rgb_tokens(batch), system.pose_tokens(batch)
    _, persons, steps, joints = batch.seen.shape
    spots = spots_of(tokens[0]), torch.arange(persons * joints).view(persons, 1, joints)
    spots = spots[0], spots[1].expand(-1, steps, -1).flatten()
    found = []
    for start in range(0, len(rgb), AT_ONCE):
        shown = (torch.from_numpy(part[start : start + AT_ONCE]) for part in (rgb, pose))
        ways = [show(*told) for told in zip(tokens, shown, spots, strict=True)]
        ids = batch.clip_ids * len(ways[0].mask)
        found.append(system.gesture(ways[0], ways[1], ids).logits.float().softmax(dim=1))
    return torch.cat(found).numpy()


def spots_of(rgb: Tokens) -> Int[Tensor, " R"]:
    """The cell of each token of one clip's map: as many a time as stand at its first time."""
    cells = int((rgb.times[0] == rgb.times[0, 0]).sum())
    return torch.arange(rgb.mask.shape[1]) % cells


def show(tokens: Tokens, shown: Bool[Tensor, "W N"], spots: Int[Tensor, " N"]) -> Tokens:
    """One clip's tokens once a way, those that are not shown masked.

    Nor is anything of them left in what rests, which is a mean over the clip.

    Args:
        spots: number of the cell, or of the person's joint, that each token is of.
    """
    given = {field.name: getattr(tokens, field.name) for field in fields(tokens)}
    wide = {
        name: repeat(value, "1 ... -> w ...", w=len(shown))
        for name, value in given.items()
        if value is not None
    }
    mask = wide["mask"] & shown
    if tokens.rest is not None:
        values = wide["values"].masked_fill(~mask[..., None], 0)
        total = values.new_zeros(len(mask), int(spots.max()) + 1, values.shape[2])
        count = total[..., 0].index_add(1, spots, mask.to(total.dtype)).clamp(min=1)
        mean = total.index_add(1, spots, values) / count[..., None]
        wide["rest"] = mean[:, spots]
    return replace(tokens, **(wide | {"mask": mask}))


def delete(
    gesture: GestureRun,
    system: GestureSystem,
    clip_ids: Sequence[str],
    choice: str = ALL,
    draws: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """Takes growing shares of both modalities' tokens away.

    Args:
        clip_ids: those that lack a modality are left out.
        choice: the layer whose attention decides, see `ClipAttention.choices`.
        draws: of tokens at random, at each share.

    Returns:
        A row a clip, way (`MOST`, `RANDOM`, `LEAST`) and share: clip_id, video_id, taken, share,
        and probability, of the class that is said of the whole clip; at random its mean.

    Raises:
        RunError: no clip has both modalities.
    """
    lacking = {*gesture.data.without_rgb, *gesture.data.without_pose}
    videos = gesture.data.gestures.split.clips.set_index("clip_id").video_id
    rows = []
    rng = np.random.default_rng(seed)
    for clip_id in (name for name in clip_ids if name not in lacking):
        attention = read_attention(gesture, system, clip_id)
        rgb, pose, taken = ways(attention, choice, draws, rng)
        said = int(attention.probability.argmax())
        given = probabilities_when(system, one_clip(gesture, clip_id), rgb, pose)[:, said]
        table = taken.assign(probability=given, clip_id=clip_id, video_id=videos[clip_id])
        rows.append(table)
    if not rows:
        raise RunError(f"{gesture.run.folder.name}: none of the clips has both modalities")
    every = pd.concat(rows)
    keys = ["clip_id", "video_id", "taken", "share"]
    return every.groupby(keys, sort=False).probability.mean().reset_index()


def ways(
    attention: ClipAttention, choice: str, draws: int, rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "W R"], Bool[np.ndarray, "W P"], pd.DataFrame]:
    """Which tokens of each modality are shown in each way, and what each way is.

    Columns: taken, share. The share is of the valid tokens; one of each stays at least.
    """
    given = attention.on_places(choice).ravel(), attention.on_joints(choice).ravel()
    valid = [np.flatnonzero(~np.isnan(values)) for values in given]
    rows: list[dict[str, object]] = []
    shown: tuple[list, list] = ([], [])
    for share in (0.0, *SHARES):
        for taken in (MOST, LEAST, *[RANDOM] * (draws if share else 1)):
            rows.append({"taken": taken, "share": share})
            for values, own, kept in zip(given, valid, shown, strict=True):
                order = rng.permutation(own)
                if taken != RANDOM:
                    order = order[np.argsort(values[order])]  # ties fall as drawn
                if taken == MOST:
                    order = order[::-1]
                away = min(round(share * len(own)), len(own) - 1)
                mask = np.ones(len(values), dtype=bool)
                mask[order[:away]] = False
                kept.append(mask)
    return np.stack(shown[0]), np.stack(shown[1]), pd.DataFrame(rows)


def mean_curves(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Mean probability by way and share, with its 95 % interval over draws of whole videos.

    Args:
        table: of `delete`.
    """
    video, names = pd.factorize(table.groupby("clip_id", sort=False).video_id.first())
    draws = draw_groups(len(names), seed)[:, video]
    rows = []
    for (taken, share), part in table.groupby(["taken", "share"], sort=False):
        values = part.probability.to_numpy()  # clips in their order
        low, high = np.quantile(draws @ values / draws.sum(axis=1), [0.025, 0.975])
        row = {"taken": taken, "share": share, "probability": values.mean()}
        rows.append(row | {"low": low, "high": high})
    return pd.DataFrame(rows)


def faithfulness(table: pd.DataFrame, seed: int = 0) -> dict[str, float]:
    """How much more the most attended tokens matter than random ones: mean over shares above 0.

    Returns:
        difference (probability without random tokens less that without the most attended), low,
        high (95 %, over draws of whole videos), clips and videos. An interval that holds 0 says
        that attention tells nothing of what this model's decisions rest on.
    """
    part = table[table.share > 0].pivot_table("probability", ["clip_id", "video_id"], "taken")
    gain = (part[RANDOM] - part[MOST]).to_numpy()
    video, names = pd.factorize(part.index.get_level_values("video_id"))
    draws = draw_groups(len(names), seed)[:, video]
    low, high = np.quantile(draws @ gain / draws.sum(axis=1), [0.025, 0.975])
    found = {"difference": float(gain.mean()), "low": float(low), "high": float(high)}
    return found | {"clips": len(gain), "videos": len(names)}


LOOKS = {
    MOST: ("213,94,0", "solid", "circle"),
    RANDOM: ("138,143,152", "dash", "square"),
    LEAST: ("0,114,178", "dot", "diamond"),
}


def deletion_curves(run: Run, table: pd.DataFrame, seed: int = 0) -> go.Figure:
    """Bands hold 95 % of draws of whole videos.

    Args:
        table: of `deletion.delete`.
    """
    curves, found = mean_curves(table, seed), faithfulness(table, seed)
    figure = go.Figure()
    for taken, (colour, dash, symbol) in LOOKS.items():
        part = curves[curves.taken == taken]
        x = 100 * part.share
        figure.add_scatter(
            x=pd.concat([x, x[::-1]]),
            y=pd.concat([part.high, part.low[::-1]]),
            mode="lines",
            fill="toself",
            fillcolor=f"rgba({colour},0.15)",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=x,
            y=part.probability,
            name=taken,
            mode="lines+markers",
            line={"color": f"rgb({colour})", "dash": dash},
            marker={"symbol": symbol},
            hovertemplate="%{x:.0f} % taken: %{y:.2f}<extra></extra>",
        )
    figure.update_xaxes(title_text="% of the tokens of both modalities taken away")
    figure.update_yaxes(title_text="probability of the class said first", range=[0, 1.02])
    notes = [*notes_of(run), verdict(found), f"{found['clips']} clips of {found['videos']} videos"]
    return styled(figure, "Does the decision rest on what is attended to?", notes, height=480)


def verdict(found: dict[str, float]) -> str:
    """One sentence on `deletion.faithfulness`."""
    told = f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
    if found["low"] > 0:
        return f"yes, more than on random tokens: they matter more by {told}"
    if found["high"] < 0:
        return f"no: random tokens matter more than the most attended ones, by {told}"
    return f"not shown: the most attended tokens matter no more than random ones, {told}"
