"""The bands of the gate figure as lanes, which a player follows and leads."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from imigue_lab.views.gates.gates import Gates
from imigue_lab.views.player.lanes import Lane, Lanes, line_lane
from imigue_lab.views.player.moment import Moment
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, WIN


def gate_lanes(
    moment: Moment,
    gates: Gates,
    running: pd.DataFrame,
    face_share: Float[np.ndarray, " T"] | None = None,
) -> Lanes:
    """Press where a gate does something remarkable, and look at the frame.

    Args:
        running: `withholding.running_probability` of the interview.
        face_share: share of each window's frames that show the face.
    """
    windows = np.arange(len(gates.face_seen))
    lanes = [
        Lane(f"stage {stage}: gate by group of channels", gate.T)
        for stage, gate in enumerate(gates.by_group(), start=1)
    ]
    means = gates.mean().to_numpy().T
    low, high = float(means.min()), float(means.max())
    colours = (NEUTRAL, "#222222")
    named = tuple((f"stage {n}", colour) for n, colour in enumerate(colours[: len(means)], 1))
    lanes.append(Lane(f"mean gate, {low:.2f} to {high:.2f}", means, low, high, named))
    for stage, taken in enumerate(gates.taken, start=1):
        lines = (("face in context", FACE), ("context in face", CONTEXT))
        shares = taken[[name for name, _ in lines]].to_numpy().T
        most = np.ceil(10 * float(np.nanmax(shares))) / 10
        title = f"share of the other stream, stage {stage}, 0 to {most:.1f}"
        lanes.append(Lane(title, shares, 0.0, most, lines))
    if face_share is not None:
        lanes.append(line_lane("share of frames that show the face", face_share, FACE))
    win = np.interp(windows, running.window, running.probability)
    lanes.append(line_lane("probability of a win, had it ended here", win, WIN))
    return Lanes(moment, gates.video_id, lanes)
