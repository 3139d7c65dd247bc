"""Gates and shares are the model's own values, and the figure draws exactly those."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.errors import RunError
from imigue_lab.features.encoders import BLENDSHAPES
from imigue_lab.training.emotion.train import load_emotion, train_emotion
from imigue_lab.views.faces import Strip
from imigue_lab.views.gates.interview import (
    Gates,
    gates_over_time,
    named_curves,
    read_gates,
    whole_interview,
)
from tests.views.texts import labels_of, text_of


@pytest.fixture
def hidden(trained):
    """The interview with most windows without a face."""
    _, data = trained
    return max(data.features.face, key=lambda v: int((data.features.face[v] == 0).all(1).sum()))


def gates_with(*stages):
    return Gates("v", list(stages), pd.DataFrame(), np.ones(len(stages[0]), dtype=bool), "win", 0.0)


def heats(figure):
    return [np.array(trace.z) for trace in figure.data if trace.type == "heatmap"]


@torch.no_grad()
def test_gates_and_shares_are_those_of_the_equations(trained, hidden):
    """α = σ(W [x; y] + b), u = x + α y, v = y + α x; then x + u and y + v go on."""
    run, data = trained
    gates = read_gates(run, data, hidden)
    model, batch = load_emotion(run, data), whole_interview(data, hidden)
    masks = batch.context_mask, batch.face_mask
    x = model.context.encode(batch.context, masks[0], batch.window)
    y = model.face.encode(batch.face, masks[1], batch.window)
    for stage, fusion in enumerate(model.fusions):
        if stage:
            x, y = model.context.refine(x, masks[0]), model.face.refine(y, masks[1])
        weight, bias = fusion.gate.to_gate.weight, fusion.gate.to_gate.bias
        alpha = 1 / (1 + torch.exp(-(torch.cat([x, y], dim=-1) @ weight.T + bias)))
        np.testing.assert_allclose(gates.stages[stage], alpha[0], atol=1e-5)
        lengths = [part[0].norm(dim=1).numpy() for part in (x, y, alpha * x, alpha * y)]
        share = lengths[3] / (lengths[3] + lengths[0])
        np.testing.assert_allclose(
            gates.per_window[f"face in context, stage {stage + 1}"], share, atol=1e-5
        )
        share = np.where(masks[1][0], lengths[2] / (lengths[2] + lengths[1]), np.nan)
        np.testing.assert_allclose(
            gates.per_window[f"context in face, stage {stage + 1}"], share, atol=1e-5
        )
        x, y = x + (x + alpha * y), y + (y + alpha * x)
    kept = run.predictions().set_index("video_id").logit[hidden]
    assert gates.logit == pytest.approx(kept, abs=1e-5)


def test_a_hidden_face_contributes_nothing_to_the_context(trained, hidden):
    gates = read_gates(*trained, hidden)
    assert (~gates.face_seen).any()
    hidden_face = gates.per_window[~gates.face_seen]
    assert hidden_face[gates.columns("face in context")].eq(0).all(axis=None)
    assert hidden_face[gates.columns("context in face")].isna().all(axis=None)
    assert gates.per_window[gates.face_seen].gt(0).all(axis=None)


def test_reading_the_gates_removes_its_hooks(trained, hidden):
    run, data = trained
    model = load_emotion(run, data)
    read_gates(run, data, hidden)
    assert not any(fusion._forward_pre_hooks for fusion in model.fusions)


def test_groups_are_the_same_channels_in_both_stages_sorted_by_the_first():
    first = np.tile([0.9, 0.1, 0.5, 0.3], (2, 1)).astype(np.float32)
    second = np.tile([1.0, 2.0, 3.0, 4.0], (2, 1)).astype(np.float32)
    grouped = gates_with(first, second).by_group(groups=2)
    np.testing.assert_allclose(grouped[0][0], [0.2, 0.7])  # channels 1 and 3, then 2 and 0
    np.testing.assert_allclose(grouped[1][0], [3.0, 2.0])


def test_the_figure_draws_gates_shares_strips_face_share_and_running_probability(trained, hidden):
    run, data = trained
    gates = read_gates(run, data, hidden)
    running = pd.DataFrame({"window": [0, 3], "probability": [0.4, 0.6]})
    share = np.linspace(0, 1, len(gates.face_seen), dtype=np.float32)
    picture = np.zeros((4, 4, 3), np.uint8)
    strips = Strip("frames", {2: picture, 5: picture}), Strip("faces", {}, "none are stored")
    shown = replace(gates, strips=strips, face_share=share, running=running)
    figure = gates_over_time(run, shown)
    for drawn, gate in zip(heats(figure), gates.by_group(), strict=True):
        np.testing.assert_allclose(drawn, gate.T, atol=6e-4)
    lines = {trace.name: trace for trace in figure.data if trace.name}
    np.testing.assert_allclose(lines["mean gate, stage 2"].y, gates.stages[1].mean(axis=1))
    drawn = lines["face in context, stage 1"].y
    np.testing.assert_allclose(drawn, gates.per_window["face in context, stage 1"])
    assert [image.x for image in figure.layout.images] == [2, 5]
    assert "none are stored" in labels_of(figure)
    bars = next(trace for trace in figure.data if trace.type == "bar")
    np.testing.assert_allclose(bars.y, share)
    assert any(list(trace.y) == [0.4, 0.6] for trace in figure.data if trace.type == "scatter")


def test_blendshapes_are_curves_with_their_names(trained, hidden, monkeypatch):
    run, data = trained
    gates = read_gates(run, data, hidden)
    assert named_curves(run, gates).empty
    values = np.zeros((len(gates.face_seen), 52), np.float32)
    values[:, BLENDSHAPES.index("jawOpen")] = np.arange(len(values)) / len(values)
    named = {"face": "face-blendshapes-00000000"}
    monkeypatch.setattr(type(run), "read_checkpoint", lambda run, which: named)
    gates = replace(gates, face=values)
    curves = named_curves(run, gates)
    assert curves.columns[0] == "jawOpen" and len(curves.columns) == 6
    assert curves.jawOpen.isna().tolist() == (~gates.face_seen).tolist()
    figure = gates_over_time(run, gates, notes=[])
    assert "jawOpen" in [trace.name for trace in figure.data]


def test_windows_without_a_face_are_grey(trained, hidden):
    run, data = trained
    windows = int((data.features.face[hidden] == 0).all(dim=1).sum())
    figure = gates_over_time(run, read_gates(run, data, hidden))
    grey = [shape for shape in figure.layout.shapes if shape.fillcolor == "grey"]
    assert len({shape.x0 for shape in grey}) == windows
    assert f"windows without a face: {windows}" in text_of(figure)


def test_an_unknown_video_and_a_fusion_without_gates_are_refused(trained, quick):
    run, data = trained
    with pytest.raises(RunError, match="video '9999' is not in the run's data"):
        read_gates(run, data, "9999")
    late = train_emotion(quick(fusion="late", epochs=1), data)
    with pytest.raises(RunError, match="has no gates"):
        read_gates(late, data, "0003")


def test_an_interview_outside_the_runs_data_has_its_own_notes(trained):
    run, data = trained
    gates = read_gates(run, data, run.predictions().video_id.iloc[0])
    assert "synthetic" in gates_over_time(run, gates).layout.title.text
    title = text_of(gates_over_time(run, gates, notes=["filmed in June"]))
    assert "filmed in June" in title and "synthetic" not in title
