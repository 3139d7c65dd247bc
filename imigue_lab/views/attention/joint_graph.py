"""The adaptive graph of 2s-AGCN in one clip: which joints take from which, beyond the bones.

Shi et al., CVPR 2019, section 3.2: a layer mixes joints by A + B + C, A the bones, B learned for
all clips, C seen in this one. Letters in shapes: V joints.
"""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import torch
from einops import reduce
from jaxtyping import Float
from plotly.subplots import make_subplots

from imigue_lab.data.skeletons.cropping import picture_places
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.data.skeletons.streams import Stream
from imigue_lab.models.graph.agcn import AGCN
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.pose_encoder import STREAMS
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.views.attention.maps import one_clip
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, notes_of, styled

MOST = 14  # connections drawn
COLOURS = dict(zip(STREAMS, (CONTEXT, FACE), strict=True))


class LayerGraph(NamedTuple):
    """B + C of one layer; entry [i, j] is how much joint j takes from joint i, mean over subsets.

    Attributes:
        layer: from 1.
    """

    stream: Stream
    layer: int
    graph: Float[np.ndarray, "V V"]

    def strongest(self, most: int = MOST) -> list[tuple[int, int, float]]:
        """From, to and weight of the strongest connections between different joints."""
        between = self.graph - np.diag(np.diag(self.graph))
        order = np.argsort(-between, axis=None, kind="stable")[:most]
        pairs = [np.unravel_index(number, between.shape) for number in order]
        return [(int(i), int(j), float(between[i, j])) for i, j in pairs]


@torch.no_grad()
def read_graphs(gesture: GestureRun, system: GestureSystem, clip_id: str) -> list[LayerGraph]:
    """First, middle and last layer of both streams, of the first person in the clip.

    Raises:
        RunError: there is no such clip, or it lacks a modality.
    """
    batch = one_clip(gesture, clip_id)
    found = []
    for stream, skeleton in zip(STREAMS, batch.skeleton.chunk(2, dim=-1), strict=True):
        network: AGCN = getattr(system.encoder, stream)
        graphs = network.eval().graphs(skeleton, batch.frame_mask)
        for layer in sorted({0, len(graphs) // 2, len(graphs) - 1}):
            adaptive = graphs[layer].learned + graphs[layer].attention[0, 0]
            mean = reduce(adaptive, "k i j -> i j", "mean").float().numpy()
            found.append(LayerGraph(stream, layer + 1, mean))
    return found


def graph_over_joints(gesture: GestureRun, clip_id: str, graphs: list[LayerGraph]) -> go.Figure:
    """Bones in grey, the strongest connections above them; a joint's size is what others take."""
    layout = gesture.data.gestures.layout
    places = joint_middles(gesture, clip_id)
    layers = list(dict.fromkeys(graph.layer for graph in graphs))
    titles = [f"{g.stream} network, layer {g.layer}" for g in graphs]
    shape = {"rows": len(STREAMS), "cols": len(layers), "vertical_spacing": 0.06}
    figure = make_subplots(subplot_titles=titles, horizontal_spacing=0.02, **shape)
    for graph in graphs:
        row, col = STREAMS.index(graph.stream) + 1, layers.index(graph.layer) + 1
        add_bones(figure, layout, places, row, col)
        add_connections(figure, layout, graph, places, row, col)
    low, high = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
    margin = 0.12 * float((high - low).max())
    figure.update_xaxes(range=[low[0] - margin, high[0] + margin], visible=False)
    figure.update_yaxes(range=[high[1] + margin, low[1] - margin], visible=False)
    for row in range(1, len(STREAMS) + 1):
        for col in range(1, len(layers) + 1):
            subplot = figure.get_subplot(row, col)
            subplot.yaxis.scaleanchor = subplot.xaxis.plotly_name.replace("axis", "")
    figure.update_annotations(font_size=12)
    notes = [
        *notes_of(gesture.run),
        f"the {MOST} strongest of B + C; width and hover: weight; joints at their middle place",
    ]
    title = f"2s-AGCN's adaptive graph in clip {clip_id}"
    figure = styled(figure, title, notes, height=600)
    return figure.update_layout(margin={"t": figure.layout.margin.t + 20, "b": 20})


def joint_middles(gesture: GestureRun, clip_id: str) -> Float[np.ndarray, "V 2"]:
    """Where each joint of the first person mostly is, x to the right and y down; NaN if nowhere.

    In pixels where the picture's size is known; else about the body, as the network sees it.
    """
    pose, size = gesture.data.poses[clip_id], gesture.data.sizes.get(clip_id)
    axes = gesture.data.gestures.layout.axes
    if size is not None and axes == 2:
        spots = picture_places(pose.places[0].numpy().astype(float), *size)
        seen = pose.seen[0].numpy()[..., None]
    else:
        joints = pose.skeleton[0].numpy()[..., :2].astype(float)
        seen = (joints != 0).any(axis=-1, keepdims=True)
        spots = joints * [1, -1] if axes == 3 else joints  # in space y points up
    known = np.ma.masked_array(spots, np.broadcast_to(~seen, spots.shape))
    return np.ma.median(known, axis=0).filled(np.nan)


def add_bones(
    figure: go.Figure, layout: Layout, places: Float[np.ndarray, "V 2"], row: int, col: int
) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    for parent, child in layout.bones:
        x += [places[parent, 0], places[child, 0], None]
        y += [places[parent, 1], places[child, 1], None]
    line = {"color": NEUTRAL, "width": 1}
    look = {"mode": "lines", "line": line, "opacity": 0.6, "hoverinfo": "skip"}
    figure.add_scatter(x=x, y=y, showlegend=False, row=row, col=col, **look)


def add_connections(
    figure: go.Figure,
    layout: Layout,
    graph: LayerGraph,
    places: Float[np.ndarray, "V 2"],
    row: int,
    col: int,
) -> None:
    strongest = graph.strongest()
    top = max(weight for *_, weight in strongest)
    for i, j, weight in strongest:
        figure.add_scatter(
            x=places[[i, j], 0],
            y=places[[i, j], 1],
            mode="lines",
            line={"color": COLOURS[graph.stream], "width": 0.5 + 3 * max(weight, 0) / top},
            opacity=0.6,
            hoverinfo="skip",
            showlegend=False,
            row=row,
            col=col,
        )
    given = graph.graph.sum(axis=1) - np.diag(graph.graph)
    names = [joint.replace("_", " ") for joint in layout.joints]
    takes = [
        "<br>".join(f"to {names[j]}: {w:.3f}" for i, j, w in strongest if i == joint)
        for joint in range(len(names))
    ]
    figure.add_scatter(
        x=places[:, 0],
        y=places[:, 1],
        mode="markers",
        marker={
            "color": COLOURS[graph.stream],
            "size": 3 + 9 * np.sqrt(np.clip(given / given.max(), 0, 1)),
            "line": {"width": 1, "color": "white"},
        },
        customdata=np.stack([names, given.round(2).astype(str), takes], axis=-1),
        hovertemplate="%{customdata[0]}: gives %{customdata[1]}<br>%{customdata[2]}<extra></extra>",
        showlegend=False,
        row=row,
        col=col,
    )
