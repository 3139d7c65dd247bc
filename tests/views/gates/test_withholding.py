"""Withholding equals predicting from what remains, and finds where the outcome was embedded."""

import numpy as np
import pytest
import torch

from imigue_lab.data.datasets import Batch
from imigue_lab.models.emotion import build_emotion
from imigue_lab.training.emotion.data import load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import load_emotion, train_emotion
from imigue_lab.views.gates.interview import read_gates, whole_interview
from imigue_lab.views.gates.withholding import (
    running_probability,
    withheld,
    without_modality,
    without_span,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_emotion(5, 3, width=8, depth=1, heads=2, dropout=0.0).eval()


@pytest.fixture
def batch():
    """An interview of nine windows; the face is hidden in the second."""
    generator = torch.Generator().manual_seed(1)
    context, face = (torch.randn(1, 9, dim, generator=generator) for dim in (5, 3))
    face[0, 1] = 0
    return batch_of(context, face)


def batch_of(context, face):
    masks = (context != 0).any(dim=2), (face != 0).any(dim=2)
    window = torch.arange(context.shape[1])[None]
    return Batch(context, face, *masks, window, torch.tensor([1]), ["v"])


@torch.no_grad()
def logit(model, batch):
    return float(model(**batch.inputs()).logit)


def test_the_running_probability_is_that_of_the_interview_cut_there(model, batch):
    running = running_probability(model, batch)
    assert running.window.tolist() == list(range(9))
    for last, probability in running.itertuples(index=False):
        cut = batch_of(batch.context[:, : last + 1], batch.face[:, : last + 1])
        assert probability == pytest.approx(1 / (1 + np.exp(-logit(model, cut))), abs=1e-5)


def test_moments_of_a_long_interview_reach_its_end(model, batch):
    running = running_probability(model, batch, moments=4)
    assert len(running) == 4
    assert running.window.iloc[-1] == 8


def test_a_withheld_modality_equals_an_absent_one(model, batch):
    table = without_modality(model, batch).set_index("shown")
    assert table.logit["both"] == pytest.approx(logit(model, batch), abs=1e-5)
    gone = batch_of(batch.context, torch.zeros_like(batch.face))
    assert table.logit["context alone"] == pytest.approx(logit(model, gone), abs=1e-5)
    gone = batch_of(torch.zeros_like(batch.context), batch.face)
    assert table.logit["face alone"] == pytest.approx(logit(model, gone), abs=1e-5)


def test_the_change_of_a_span_is_that_of_windows_set_to_zero(model, batch):
    table = without_span(model, batch, span=2)
    assert (table["last"] - table["first"] == 1).all()
    assert table["first"].tolist() == list(range(8))
    row = table.iloc[3]
    whole = logit(model, batch)
    blank = {name: getattr(batch, name).clone() for name in ("context", "face")}
    for name in blank:
        blank[name][0, 3:5] = 0
    wanted = {
        "both": batch_of(blank["context"], blank["face"]),
        "context": batch_of(blank["context"], batch.face),
        "face": batch_of(batch.context, blank["face"]),
    }
    for name, shown in wanted.items():
        assert row[name] == pytest.approx(logit(model, shown) - whole, abs=1e-5)


def test_spans_have_the_requested_length_and_position(model, batch):
    table = without_span(model, batch, span=2, places=3)
    assert table[["first", "last"]].to_numpy().tolist() == [[0, 1], [4, 5], [7, 8]]


def test_an_interview_shorter_than_the_span_is_withheld_entirely(model, batch):
    table = without_span(model, batch, span=50)
    assert table[["first", "last"]].to_numpy().tolist() == [[0, 8]]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """A run on interviews with the outcome visible in windows 4 and 5 of 12 only."""
    import pandas as pd

    root = tmp_path_factory.mktemp("embedded")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(48):
        split = "train" if number < 32 else "validation" if number < 40 else "test"
        rows.append((f"v{number}", split, ("lose", "win")[number % 2], f"s{number}"))
        for stream, dim in (("context", 6), ("face", 4)):
            features = rng.normal(0, 0.3, size=(12, dim))
            features[4:6, 0] += 3 if number % 2 else -3
            (root / stream).mkdir(exist_ok=True)
            np.save(root / stream / f"v{number}.npy", features.astype(np.float32))
    columns = ["video_id", "split", "outcome", "subject"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "videos.csv", index=False)
    given = {"data": str(root), "context": str(root / "context"), "face": str(root / "face")}
    small = {"width": 8, "heads": 2, "epochs": 30, "lr": 5e-3, "name": "embedded"}
    settings = EmotionSettings.from_arguments(given | small)
    data = load_emotion_data(settings)
    return train_emotion(settings, data), data


def test_withholding_the_embedded_span_changes_the_score_more_than_random_windows(embedded):
    run, data = embedded
    model = load_emotion(run, data)
    tables = [
        without_span(model, whole_interview(data, f"v{number}"), span=2).set_index("first")
        for number in range(40, 48)
    ]
    change = sum(table.both.abs() for table in tables) / len(tables)
    assert change.idxmax() == 4
    assert change[4] > 3 * change.drop([3, 4, 5]).max()


def test_the_figure_draws_the_tables(embedded):
    run, data = embedded
    batch = whole_interview(data, "v41")
    model = load_emotion(run, data)
    modality, table = without_modality(model, batch), without_span(model, batch, span=2)
    figure = withheld(run, read_gates(run, data, "v41"), modality, table)
    np.testing.assert_allclose(figure.data[0].y, modality.probability)
    lines = {trace.name: trace for trace in figure.data}
    np.testing.assert_allclose(lines["both streams"].y, table.both)
    np.testing.assert_allclose(lines["face alone"].y, table.face)
    np.testing.assert_allclose(lines["both streams"].x, table["first"] + 0.5)
