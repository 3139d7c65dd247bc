"""The deletion test: does a prediction depend on the tokens with most attention?

A map of attention shows weights; it does not explain a prediction. Here tokens are masked, those
with most attention first, and the probability of the predicted class is compared with masking as
many random tokens, and as many with least attention.

Letters in shapes: W masked copies of a clip, R RGB tokens, P pose tokens, N tokens of either.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
from imigue_lab.training.scores import clusters_of
from imigue_lab.training.statistics import interval_of_mean
from imigue_lab.views.attention.maps import ClipAttention, one_clip, read_attention
from imigue_lab.views.style import notes_of, styled

AT_ONCE = 8  # masked copies in a batch
SHARES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the valid tokens
MOST, RANDOM, LEAST = "most attended", "random", "least attended"
LOOKS = {
    MOST: ("213,94,0", "solid", "circle"),
    RANDOM: ("138,143,152", "dash", "square"),
    LEAST: ("0,114,178", "dot", "diamond"),
}


def held_out_clips(gesture: GestureRun, most: int = 40, seed: int = 0) -> list[str]:
    """At most so many random clips of test, else of validation, else of train."""
    splits = (gesture.data.part(split).clip_id for split in ("test", "validation", "train"))
    clips = next(clips for clips in splits if len(clips))
    return clips.sample(min(most, len(clips)), random_state=seed).tolist()


def delete_tokens(
    gesture: GestureRun,
    system: GestureSystem,
    clip_ids: Sequence[str],
    draws: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """Masks growing shares of both modalities' tokens. Raises RunError where no clip has both.

    Args:
        clip_ids: those that lack a modality are left out.
        draws: random sets of tokens at each share.

    Returns:
        A row a clip, order (`MOST`, `RANDOM`, `LEAST`) and share: clip_id, video_id, subject (the
        video where unknown), order, share, and probability, of the class that is predicted from the
        whole clip; its mean over draws.
    """
    lacking = {*gesture.data.without_rgb, *gesture.data.without_pose}
    known = gesture.data.gestures.split.clips.set_index("clip_id")[["video_id", "subject"]]
    tables = []
    rng = np.random.default_rng(seed)
    for clip_id in (name for name in clip_ids if name not in lacking):
        attention = read_attention(gesture, system, clip_id)
        rgb, pose, masked = deletion_masks(attention, draws, rng)
        predicted = int(attention.probability.argmax())
        left = probabilities_when(system, one_clip(gesture, clip_id), rgb, pose)[:, predicted]
        tables.append(masked.assign(probability=left, clip_id=clip_id, **known.loc[clip_id]))
    if not tables:
        raise RunError(f"{gesture.run.folder.name}: none of the clips has both modalities")
    keys = ["clip_id", "video_id", "subject", "order", "share"]
    return pd.concat(tables).groupby(keys, sort=False).probability.mean().reset_index()


def deletion_masks(
    attention: ClipAttention, draws: int, rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "W R"], Bool[np.ndarray, "W P"], pd.DataFrame]:
    """Which tokens of each modality are kept in each masked copy, and a row for each copy.

    Columns: order, share. At least one valid token of each modality is kept.
    """
    weights = attention.on_places().ravel(), attention.on_joints().ravel()
    valid = [np.flatnonzero(~np.isnan(values)) for values in weights]
    rows = [(order, 0.0) for order in (MOST, LEAST, RANDOM)]
    rows += [(order, share) for share in SHARES for order in (MOST, LEAST, *[RANDOM] * draws)]
    rgb, pose = (np.ones((len(rows), len(values)), dtype=bool) for values in weights)
    for row, (order, share) in enumerate(rows):
        for values, own, kept in zip(weights, valid, (rgb, pose), strict=True):
            tokens = rng.permutation(own)
            if order != RANDOM:
                tokens = tokens[np.argsort(values[tokens])]  # ties in random order
            if order == MOST:
                tokens = tokens[::-1]
            kept[row, tokens[: min(round(share * len(own)), len(own) - 1)]] = False
    return rgb, pose, pd.DataFrame(rows, columns=["order", "share"])


@torch.no_grad()
def probabilities_when(
    system: GestureSystem,
    batch: GestureBatch,
    rgb: Bool[np.ndarray, "W R"],
    pose: Bool[np.ndarray, "W P"],
) -> Float[np.ndarray, "W classes"]:
    """The prediction for a batch of one clip under each pair of masks, true of kept tokens."""
    tokens = system.rgb_tokens(batch), system.pose_tokens(batch)
    # A token's cell of the map, whose times all have as many tokens, or a person's joint
    cells = int((tokens[0].times[0] == tokens[0].times[0, 0]).sum())
    _, persons, steps, joints = batch.seen.shape
    of_joints = torch.arange(persons * joints).view(persons, 1, joints)
    spots = torch.arange(rgb.shape[1]) % cells, of_joints.expand(-1, steps, -1).flatten()
    found = []
    masks = (torch.from_numpy(kept).split(AT_ONCE) for kept in (rgb, pose))
    for kept in zip(*masks, strict=True):
        copies = [keep_tokens(*each) for each in zip(tokens, kept, spots, strict=True)]
        ids = batch.clip_ids * len(copies[0].mask)
        found.append(system.gesture(copies[0], copies[1], ids).logits.float().softmax(dim=1))
    return torch.cat(found).numpy()


def keep_tokens(tokens: Tokens, kept: Bool[Tensor, "W N"], spots: Int[Tensor, " N"]) -> Tokens:
    """A masked copy of one clip's tokens for each row of `kept`.

    Masked tokens are also left out of `rest`, which is a mean over the clip. `spots` is the number
    of the cell, or of the person's joint, that each token belongs to.
    """
    copies = tokens.change(lambda t: repeat(t, "1 ... -> w ...", w=len(kept)))
    mask, rest = copies.mask & kept, None
    if tokens.rest is not None:
        known = copies.values.masked_fill(~mask[..., None], 0)
        total = known.new_zeros(len(mask), int(spots.max()) + 1, known.shape[2])
        count = total[..., 0].index_add(1, spots, mask.to(total.dtype)).clamp(min=1)
        rest = (total.index_add(1, spots, known) / count[..., None])[:, spots]
    return replace(copies, mask=mask, rest=rest)


def deletion_means(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Means over clips of `delete_tokens`: order, share, probability, low and high (95 %)."""
    rows = []
    for (order, share), own in table.groupby(["order", "share"], sort=False):
        values = own.probability.to_numpy()
        interval = interval_of_mean(values, clusters_of(own)[0], seed)
        rows.append((order, share, values.mean(), *interval))
    return pd.DataFrame(rows, columns=["order", "share", "probability", "low", "high"])


def faithfulness(table: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """How much more the most attended tokens matter than random ones: mean over shares above 0.

    Its keys are difference (probability without random tokens minus that without the most
    attended), low, high (95 %), clips, clusters and unit (`scores.clusters_of`). An interval that
    contains 0 does not show that predictions depend on what is attended to.
    """
    keys = ["clip_id", "video_id", "subject"]
    means = table[table.share > 0].pivot_table("probability", keys, "order").reset_index()
    gain, (cluster, unit) = (means[RANDOM] - means[MOST]).to_numpy(), clusters_of(means)
    low, high = interval_of_mean(gain, cluster, seed)
    found = {"difference": float(gain.mean()), "low": low, "high": high}
    return found | {"clips": len(gain), "clusters": cluster.nunique(), "unit": unit}


def deletion_curves(run: Run, table: pd.DataFrame, seed: int = 0) -> go.Figure:
    """Probability left in `delete_tokens` by share; bands are 95 % over draws of clusters."""
    means, found = deletion_means(table, seed), faithfulness(table, seed)
    figure = go.Figure()
    for order, (colour, dash, symbol) in LOOKS.items():
        own = means[means.order == order]
        x, y = 100 * own.share, pd.concat([own.high, own.low[::-1]])
        band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        band |= {"fill": "toself", "fillcolor": f"rgba({colour},0.15)"}
        figure.add_scatter(x=pd.concat([x, x[::-1]]), y=y, **band)
        figure.add_scatter(
            x=x,
            y=own.probability,
            name=order,
            mode="lines+markers",
            line={"color": f"rgb({colour})", "dash": dash},
            marker={"symbol": symbol},
            hovertemplate="%{x:.0f} % masked: %{y:.2f}<extra></extra>",
        )
    figure.update_xaxes(title_text="% of the tokens of both modalities masked")
    figure.update_yaxes(title_text="probability of the predicted class", range=[0, 1.02])
    counts = f"{found['clips']} clips; intervals over {found['clusters']} {found['unit']}"
    title = f"Does the prediction depend on the attended tokens?\n{conclusion(found)}"
    return styled(figure, title, [*notes_of(run), counts], height=480)


def conclusion(found: dict[str, Any]) -> str:
    """One sentence on the result of `faithfulness`."""
    by = f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
    if found["low"] > 0:
        return f"yes, more than on random tokens: they matter more by {by}"
    if found["high"] < 0:
        return f"no: random tokens matter more than the most attended ones, by {by}"
    return f"not shown: the most attended tokens matter no more than random ones, {by}"
