"""What becomes of the prediction when the model is not shown a modality, or a span of time.

Withheld windows are masked, as windows without a face are: they are no keys of attention, have no
gated term, and count in no mean. This shows what the prediction rests on, not why.

Letters in shapes: T windows of 16 frames, B interviews of one batch.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from imigue_lab.data.datasets import Batch

AT_ONCE = 16  # interviews in a batch
Shown = Bool[Tensor, "B T"]  # windows that the model may see


@torch.no_grad()
def logits_when(
    model: nn.Module, batch: Batch, context: Shown, face: Shown
) -> Float[np.ndarray, " B"]:
    """The logit of one interview for each way of showing it.

    Args:
        batch: of one interview.
        context, face: windows of either stream that are shown, a row a way.
    """
    parts = []
    for start in range(0, len(context), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        ways = len(context[rows])
        inputs = {
            name: repeat(value, "1 ... -> b ...", b=ways) for name, value in batch.inputs().items()
        }
        inputs["context_mask"] = inputs["context_mask"] & context[rows]
        inputs["face_mask"] = inputs["face_mask"] & face[rows]
        parts.append(model(**inputs).logit)
    return torch.cat(parts).numpy()


def running_probability(model: nn.Module, batch: Batch, moments: int = 60) -> pd.DataFrame:
    """The prediction from the first windows alone, at so many moments at most.

    Returns:
        window (the last that was shown) and probability (of a win).
    """
    windows = batch.context.shape[1]
    last = np.unique(np.linspace(0, windows - 1, min(moments, windows)).round().astype(int))
    shown = torch.arange(windows) <= torch.from_numpy(last)[:, None]
    logit = logits_when(model, batch, shown, shown)
    return pd.DataFrame({"window": last, "probability": sigmoid(logit)})


def without_modality(model: nn.Module, batch: Batch) -> pd.DataFrame:
    """The prediction from both streams and from either alone.

    Columns: shown, logit, probability (of a win). A stream that is withheld whole is replaced by a
    learned vector, which training has met only if it held interviews without that stream.
    """
    windows = batch.context.shape[1]
    context = repeat(torch.tensor([True, True, False]), "b -> b t", t=windows)
    face = repeat(torch.tensor([True, False, True]), "b -> b t", t=windows)
    logit = logits_when(model, batch, context, face)
    names = ["both", "context alone", "face alone"]
    return pd.DataFrame({"shown": names, "logit": logit, "probability": sigmoid(logit)})


def without_span(
    model: nn.Module, batch: Batch, span: int = 0, places: int = 40, draws: int = 40, seed: int = 0
) -> pd.DataFrame:
    """The change of the logit when a span of windows is withheld, along the interview.

    Args:
        span: windows; 0 takes an eighth of the interview.
        places: of the span, at most, spread over the interview.
        draws: as many windows drawn at random, withheld from both, so often.

    Returns:
        first, last (windows of the span), and for `both`, `context` and `face` withheld there the
        logit less that of the whole; `low` and `high`, between which 95 % of the draws lie.
    """
    windows = batch.context.shape[1]
    span = min(windows, span or max(1, windows // 8))
    first = np.unique(np.linspace(0, windows - span, min(places, windows)).round().astype(int))
    hidden = spans(first.tolist(), span, windows)
    rng = np.random.default_rng(seed)
    drawn = torch.zeros(draws, windows, dtype=torch.bool)
    for row in drawn:
        row[torch.from_numpy(rng.permutation(windows)[:span].copy())] = True
    nothing = torch.zeros_like(hidden)
    whole = nothing[:1]
    context = torch.cat([hidden, hidden, nothing, drawn, whole])
    face = torch.cat([hidden, nothing, hidden, drawn, whole])
    logit = logits_when(model, batch, ~context, ~face)
    change = logit[:-1] - logit[-1]
    both, context_only, face_only, random = np.split(change, np.cumsum([len(first)] * 3))
    low, high = np.quantile(random, [0.025, 0.975])
    return pd.DataFrame(
        {
            "first": first,
            "last": first + span - 1,
            "both": both,
            "context": context_only,
            "face": face_only,
            "low": low,
            "high": high,
        }
    )


def spans(first: Sequence[int], span: int, windows: int) -> Bool[Tensor, "B T"]:
    """True from each first window on, `span` windows long."""
    window, begin = torch.arange(windows), torch.tensor(first)[:, None]
    return (window >= begin) & (window < begin + span)


def sigmoid(logit: Float[np.ndarray, " B"]) -> Float[np.ndarray, " B"]:
    return 1 / (1 + np.exp(-logit))
