"""Figures of notebook 09: bars at the gestures, lanes with the value of each window."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.segments import as_segments
from imigue_lab.data.vocabulary import builtin
from imigue_lab.views.timeline import (
    class_lanes,
    over_time,
    segment_table,
)
from tests.views.texts import labels_of, text_of

IMIGUE = builtin("imigue")


@pytest.fixture
def analysis():
    rows = [(31, 0, 24, 0.9), (3, 50, 74, 0.6), (4, 75, 99, 0.7)]
    table = pd.DataFrame(rows, columns=["label", "start", "end", "confidence"])
    times = np.arange(161) / 25
    return SimpleNamespace(
        segments=as_segments(table, times),
        own=SimpleNamespace(times=times, source=SimpleNamespace(name="anna.mp4")),
        gesture_run=SimpleNamespace(vocabulary=lambda: IMIGUE),
        outcome="tense",
        probability=0.25,
        prediction=SimpleNamespace(based_on="context"),
        remarks=["no face was found: the emotion estimate rests on context alone"],
    )


@pytest.fixture
def running():
    return pd.DataFrame({"window": range(10), "probability": np.linspace(0.5, 0.25, 10)})


@pytest.fixture(autouse=True)
def unchecked(monkeypatch):
    """Accepts a substitute of `Analysis`; the notebook's test uses a real one."""
    from imigue_lab.views import timeline

    for name in ("over_time", "segment_table"):
        plain = getattr(timeline, name)
        monkeypatch.setitem(globals(), name, getattr(plain, "__wrapped__", plain))


def test_bars_are_at_the_gestures_and_name_class_and_group(analysis, running):
    figure = over_time(analysis, running)
    bars = {bar.name: bar for bar in figure.data if bar.type == "bar"}
    assert set(bars) == {"illustrative", "head-hand"}
    assert list(bars["head-hand"].base) == [2.0, 3.0]
    assert list(bars["head-hand"].x) == [1.0, 1.0]
    assert list(bars["illustrative"].y) == [IMIGUE.label(31)]
    line = next(trace for trace in figure.data if trace.type == "scatter")
    assert line.x[0] == 0.64 and line.x[-1] == 6.4
    title = text_of(figure)
    assert "anna.mp4: 3 gestures; probability of tense 0.25, based on context" in title
    assert analysis.remarks[0] in title


def test_a_video_without_gestures_is_noted(analysis, running):
    analysis.segments = analysis.segments.head(0)
    figure = over_time(analysis, running)
    assert "no gesture was detected" in labels_of(figure)
    assert [trace.type for trace in figure.data] == ["scatter"]
    assert segment_table(analysis).empty


def test_the_table_names_classes_and_seconds(analysis):
    table = segment_table(analysis)
    assert table["class"].tolist() == [IMIGUE.label(31), IMIGUE.label(3), IMIGUE.label(4)]
    assert table[["start_s", "end_s"]].iloc[1].tolist() == [2.0, 3.0]


def test_a_lane_shows_the_probability_at_the_middle_of_each_window():
    curves = np.zeros((40, 6))
    curves[:, 2] = np.arange(40) / 100
    curves[24, 5] = 0.95
    lanes = class_lanes(curves, 3, IMIGUE)
    assert [lane.title for lane in lanes[:2]] == [
        f"{IMIGUE.label(5)}, up to 0.95",
        f"{IMIGUE.label(2)}, up to 0.39",
    ]
    np.testing.assert_allclose(lanes[0].values, [[0, 0.95, 0]])
    np.testing.assert_allclose(lanes[1].values, [[0.08, 0.24, 0.39]])  # the last is short
    assert (lanes[1].low, lanes[1].high) == (0, 1)
