"""The figure shows the adaptive graph by which the network mixes joints."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from imigue_lab.views.attention import maps as views
from imigue_lab.views.attention.joint_graph import graph_over_joints, read_graphs
from tests.views.texts import labels_of


@pytest.fixture(scope="module")
def system(looked):
    return views.load_attentive(looked)


@torch.no_grad()
def test_the_first_layers_graph_is_that_of_the_equations(looked, system):
    """``C_k = softmax_i((θ_k x)_i · (φ_k x)_j / E T)`` on the normalised bones."""
    graph = next(g for g in read_graphs(looked, system, "0030_3") if g.stream == "bone")
    network, batch = system.encoder.bone, views.one_clip(looked, "0030_3")
    x = network.norm(batch.skeleton.chunk(2, dim=-1)[1])[0, 0]  # frames, joints, channels
    layer = network.blocks[0].graph
    by_hand = []
    for theta, phi, learned in zip(layer.theta, layer.phi, layer.learned, strict=True):
        a = x @ theta.weight[:, :, 0, 0].T + theta.bias
        b = x @ phi.weight[:, :, 0, 0].T + phi.bias
        logits = torch.einsum("tie,tje->ij", a, b) / a.shape[0] / a.shape[2]
        by_hand.append(learned + logits.softmax(dim=0))
    assert_allclose(graph.graph, torch.stack(by_hand).mean(dim=0), atol=1e-4)
    assert graph.layer == 1


def test_first_middle_and_last_layer_of_both_networks_are_drawn(looked, system):
    graphs = read_graphs(looked, system, "0030_3")
    figure = graph_over_joints(looked, "0030_3", graphs)
    titles = labels_of(figure)
    assert titles == [f"{s} network, layer {n}" for s in ("joint", "bone") for n in (1, 3, 4)]
    strongest = graphs[0].strongest()
    between = graphs[0].graph.copy()
    np.fill_diagonal(between, -1)
    assert strongest[0][2] == between.max()
    i, j, _ = strongest[0]
    names = looked.data.gestures.layout.joints
    hovers = [t.customdata for t in figure.data if t.customdata is not None]
    assert f"to {names[j].replace('_', ' ')}" in hovers[0][i][2]
    lines = [t for t in figure.data if t.opacity == 0.6 and t.line.color != "#8a8f98"]
    assert len(lines) == 6 * len(strongest)
