"""Which clip to look at where nobody has named one, and why just this one."""

from typing import NamedTuple

from imigue_lab.errors import RunError
from imigue_lab.training.gesture_scores import name_of, probabilities
from imigue_lab.training.runs import Run


class Choice(NamedTuple):
    """A clip, and a sentence on why it was chosen."""

    clip_id: str
    why: str


def choose_clip(run: Run, clip_id: str = "") -> Choice:
    """The named clip, or the held-out one that is told right with most confidence.

    Raises:
        RunError: the run predicts no clip of that name, or none from both modalities.
    """
    predictions = run.predictions()
    if clip_id:
        named = predictions[predictions.clip_id == clip_id]
        if named.empty:
            raise RunError(f"{run.folder.name}: predicts no clip {clip_id!r}; name another")
        return Choice(clip_id, f"clip {clip_id} of {named.split.iloc[0]}, as named")
    both = predictions[predictions.decided_by == "both"]
    if both.empty:
        raise RunError(f"{run.folder.name}: decides no clip from both modalities")
    held_out = both[both.split != "train"]
    part = both if held_out.empty else held_out
    right = part[part.label == part.said]
    told = "told right" if len(right) else "of which none is told right,"
    part = part if right.empty else right
    sure = probabilities(part).max(axis=1)
    best = part.iloc[int(sure.argmax())]
    return Choice(
        str(best.clip_id),
        f"clip {best.clip_id} of {best.split}: of those decided from both modalities and {told}"
        f" with most confidence, {sure.max():.2f} for {name_of(int(best.said))}",
    )
