"""What the gates of InterFusion let through, window by window (paper section 3, Fig. 2c).

Letters in shapes: T windows of 16 frames, D channels of the tokens.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from jaxtyping import Bool, Float
from plotly.subplots import make_subplots

from imigue_lab.data.datasets import InterviewDataset, collate
from imigue_lab.errors import RunError, some
from imigue_lab.training.emotion import load_emotion
from imigue_lab.training.emotion_data import EmotionData
from imigue_lab.training.runs import Run
from imigue_lab.views.learning import notes_of
from imigue_lab.views.style import CONTEXT, FACE, styled


@dataclass(frozen=True)
class Gates:
    """The gates of one interview.

    Attributes:
        stages: one array a stage; 1 lets everything of the other stream through, 0 nothing.
        face_seen: whether the window holds a face.
        logit: of a win.
    """

    video_id: str
    stages: list[Float[np.ndarray, "T D"]]
    face_seen: Bool[np.ndarray, " T"]
    logit: float

    def mean(self) -> pd.DataFrame:
        """Mean gate over channels, a column a stage."""
        columns = {f"stage {n}": gate.mean(axis=1) for n, gate in enumerate(self.stages, start=1)}
        return pd.DataFrame(columns).rename_axis("window")


@torch.no_grad()
def read_gates(run: Run, data: EmotionData, video_id: str) -> Gates:
    """Runs the run's best model over one whole interview.

    Raises:
        RunError: the model has no gates, or the interview is not in the data.
    """
    videos = data.split.videos[data.split.videos.video_id == video_id]
    if videos.empty:
        raise RunError(f"video {video_id!r} is not there: {some(data.split.videos.video_id)}")
    model = load_emotion(run, data)
    batch = collate([InterviewDataset(data.features, videos)[0]])
    output = model(**batch.inputs(), return_gates=True)
    if not output.gates:
        raise RunError(f"{run.folder.name}: its fusion has no gates; choose an interfusion run")
    stages = [gate[0].numpy() for gate in output.gates]
    return Gates(video_id, stages, batch.face_mask[0].numpy(), float(output.logit[0]))


def gates_over_time(run: Run, gates: Gates) -> go.Figure:
    """One heat map a stage, windows by channels, and the mean gate of both stages below.

    Channels are sorted by their mean gate in the first stage. Grey windows hold no face: their gate
    has nothing to let through into the context stream.
    """
    stages = len(gates.stages)
    titles = [f"stage {n}: gate by channel" for n in range(1, stages + 1)] + ["mean gate"]
    figure = make_subplots(
        rows=stages + 1,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.08,
        row_heights=[2] * stages + [1.4],
        subplot_titles=titles,
    )
    order = np.argsort(gates.stages[0].mean(axis=0))
    for row, gate in enumerate(gates.stages, start=1):
        figure.add_heatmap(
            z=gate[:, order].T,
            zmin=0,
            zmax=1,
            colorscale="RdBu_r",
            showscale=row == 1,
            colorbar={"title": "gate", "len": 0.4, "y": 0.8},
            hovertemplate="window %{x}<br>channel %{y}<br>gate %{z:.2f}<extra></extra>",
            row=row,
            col=1,
        )
    for (stage, mean), colour in zip(gates.mean().items(), (CONTEXT, FACE), strict=False):
        figure.add_scatter(
            y=mean, name=stage, mode="lines+markers", line={"color": colour}, row=stages + 1, col=1
        )
    for window in np.flatnonzero(~gates.face_seen):
        figure.add_vrect(window - 0.5, window + 0.5, fillcolor="grey", opacity=0.35, line_width=0)
    figure.update_xaxes(title_text="window of 16 frames", row=stages + 1, col=1)
    probability = 1 / (1 + np.exp(-gates.logit))
    hidden = int((~gates.face_seen).sum())
    title = (
        f"Gates of interview {gates.video_id}: win with {probability:.2f},"
        f" {hidden} windows without a face"
    )
    return styled(figure, title, notes_of(run), height=220 * (stages + 1))
