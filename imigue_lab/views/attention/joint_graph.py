"""The adaptive graph of 2s-AGCN in one clip: which joints receive from which, beyond the bones.

Shi et al., CVPR 2019, section 3.2: a layer mixes joints by A + B + C, with the bones A, B learned
for all clips, and C computed from the clip. Letters in shapes: V joints.
"""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import torch
from einops import reduce
from jaxtyping import Float
from plotly.subplots import make_subplots

from imigue_lab.data.skeletons.geometry import picture_places
from imigue_lab.data.skeletons.graphs import Stream
from imigue_lab.models.graph.agcn import AGCN
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.pose_encoder import STREAMS
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.views.attention.maps import one_clip
from imigue_lab.views.attention.over_clip import Place
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, empty_figure, notes_of, styled

Places = Float[np.ndarray, "V 2"]
MOST = 14  # connections drawn
COLOURS = dict(zip(STREAMS, (CONTEXT, FACE), strict=True))


class LayerGraph(NamedTuple):
    """B + C of one layer, averaged over subsets; entry [i, j]: weight from joint i to joint j."""

    stream: Stream
    layer: int  # from 1
    graph: Float[np.ndarray, "V V"]

    def strongest(self) -> list[tuple[int, int, float]]:
        """From, to and weight of the strongest connections between different joints."""
        between = self.graph - np.diag(np.diag(self.graph))
        order = np.argsort(-between, axis=None, kind="stable")[:MOST]
        pairs = np.transpose(np.unravel_index(order, between.shape)).tolist()
        return [(i, j, float(between[i, j])) for i, j in pairs]


@torch.no_grad()
def read_graphs(gesture: GestureRun, system: GestureSystem, clip_id: str) -> list[LayerGraph]:
    """First, middle and last layer of both streams, for the clip's first person.

    None if the pose tokens are not those of 2s-AGCN. Errors as of `one_clip`.
    """
    if system.encoder is None:
        return []
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


def joint_middles(gesture: GestureRun, clip_id: str) -> Places:
    """Median position of each joint of the first person, x right and y down; NaN if never seen.

    In pixels where the picture's size is known; else about the body, as in the network's input.
    """
    pose, size = gesture.data.poses[clip_id], gesture.data.sizes.get(clip_id)
    layout = gesture.data.gestures.layout
    if size is not None and layout.axes == 2:
        spots = picture_places(pose.places[0].numpy().astype(float), *size)
        seen = pose.seen[0].numpy()[..., None]
    else:
        joints = pose.skeleton[0].numpy()[..., :2].astype(float)
        seen = (joints != 0).any(axis=-1, keepdims=True)
        spots = joints * [1, -1] if layout.unit == "metres" else joints  # in space y points up
    known = np.ma.masked_array(spots, np.broadcast_to(~seen, spots.shape))
    return np.ma.median(known, axis=0).filled(np.nan)


def graph_over_joints(gesture: GestureRun, clip_id: str, graphs: list[LayerGraph]) -> go.Figure:
    """Bones in grey, the strongest connections above them; a joint's size is what it passes on."""
    title = f"Adaptive graph of 2s-AGCN in clip {clip_id}"
    if not graphs:
        why = f"No graph of joints: the pose tokens are those of {gesture.data.runs[0].folder.name}"
        return empty_figure(why, title, notes_of(gesture.run))
    layout = gesture.data.gestures.layout
    names = [joint.replace("_", " ") for joint in layout.joints]
    places = joint_middles(gesture, clip_id)
    layers = list(dict.fromkeys(graph.layer for graph in graphs))
    figure = make_subplots(
        rows=len(STREAMS),
        cols=len(layers),
        subplot_titles=[f"{graph.stream} network, layer {graph.layer}" for graph in graphs],
        horizontal_spacing=0.02,
        vertical_spacing=0.06,
    )
    bones = [ends for parent, child in layout.bones for ends in (parent, child, None)]
    for graph in graphs:
        place = {"row": STREAMS.index(graph.stream) + 1, "col": layers.index(graph.layer) + 1}
        add_line(figure, places, bones, {"color": NEUTRAL, "width": 1}, place)
        add_connections(figure, names, graph, places, place)
        subplot = figure.get_subplot(**place)
        subplot.yaxis.scaleanchor = subplot.xaxis.plotly_name.replace("axis", "")
    low, high = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
    margin = 0.12 * float((high - low).max())
    figure.update_xaxes(range=[low[0] - margin, high[0] + margin], visible=False)
    figure.update_yaxes(range=[high[1] + margin, low[1] - margin], visible=False)
    figure.update_annotations(font_size=12)
    what = f"the {MOST} strongest of B + C; width and hover: weight; joints at median positions"
    return styled(figure, title, [*notes_of(gesture.run), what], height=600, above=20, b=20)


def add_line(
    figure: go.Figure, places: Places, joints: list[int | None], line: dict, place: Place
) -> None:
    """Through joints; None lifts the pen."""
    x, y = ([None if j is None else places[j, axis] for j in joints] for axis in (0, 1))
    look = {"mode": "lines", "line": line, "opacity": 0.6, "hoverinfo": "skip"}
    figure.add_scatter(x=x, y=y, showlegend=False, **look, **place)


def add_connections(
    figure: go.Figure, names: list[str], graph: LayerGraph, places: Places, place: Place
) -> None:
    strongest, colour = graph.strongest(), COLOURS[graph.stream]
    for i, j, weight in strongest:
        line = {"color": colour, "width": 0.5 + 3 * max(weight, 0) / strongest[0][2]}
        add_line(figure, places, [i, j], line, place)
    passed = graph.graph.sum(axis=1) - np.diag(graph.graph)
    targets = [
        "\n".join(f"to {names[j]}: {w:.3f}" for i, j, w in strongest if i == joint)
        for joint in range(len(names))
    ]
    size = 3 + 9 * np.sqrt(np.clip(passed / passed.max(), 0, 1))
    hover = "%{customdata[0]}: passes on %{customdata[1]}<br>%{customdata[2]}<extra></extra>"
    figure.add_scatter(
        x=places[:, 0],
        y=places[:, 1],
        mode="markers",
        marker={"color": colour, "size": size, "line": {"width": 1, "color": "white"}},
        customdata=np.stack([names, passed.round(2).astype(str), targets], axis=-1),
        hovertemplate=hover,
        showlegend=False,
        **place,
    )
