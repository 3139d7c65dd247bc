"""Found segments against true ones: kinds of errors, curves, the timeline, playing a segment."""

import re
import shutil
from html import unescape

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError, RunError
from imigue_lab.results.open import command_of, open_index
from imigue_lab.training.recognition.data import load_recognition_data
from imigue_lab.training.recognition.scores import count_segments, read_truth
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import read_choice, train_recognition
from imigue_lab.training.runs import Run
from imigue_lab.views.card import verdict, write_card
from imigue_lab.views.recognition import (
    SegmentPlayer,
    errors_by_kind,
    judge,
    precision_recall,
    recognition_timeline,
    segments_of_video,
)
from tests.views.texts import text_of

COLUMNS = ["video_id", "label", "start", "end", "confidence"]
TRUE = pd.DataFrame(
    [
        ("a", 1, 0, 9, 1.0),  # found twice
        ("a", 2, 20, 29, 1.0),  # found at another place
        ("a", 3, 40, 49, 1.0),  # found as class 1
        ("a", 1, 60, 69, 1.0),  # missed
        ("b", 1, 0, 9, 1.0),  # missed: of another video
        ("a", 2, 100, 109, 1.0),  # the neighbour of one that is found
    ],
    columns=COLUMNS,
)
FOUND = pd.DataFrame(
    [
        ("a", 1, 1, 10, 0.5),  # IoU 9/11, but less confident than the next
        ("a", 1, 0, 7, 0.9),  # 8/10
        ("a", 2, 26, 35, 0.8),  # 4/16
        ("a", 1, 42, 51, 0.8),  # 8/12 with class 3
        ("a", 1, 80, 89, 0.8),  # with nothing
        ("a", 1, 68, 83, 0.8),  # 2/24: below a tenth
        ("a", 2, 100, 114, 0.9),  # 10/15
    ],
    columns=COLUMNS,
)


@pytest.mark.parametrize("rule", ["one-to-one", "organisers"])
def test_each_segment_is_of_the_first_kind_that_applies(rule):
    kinds, missed = judge(FOUND, TRUE, 0.5, rule)
    assert kinds.tolist() == [
        "doubled",
        "correct",
        "badly placed",
        "wrong class",
        "nothing there",
        "nothing there",
        "correct",
    ]
    assert missed.tolist() == [False, False, False, True, True, False]


def test_at_a_lower_overlap_a_badly_placed_segment_is_correct():
    kinds, _ = judge(FOUND, TRUE, 0.25)
    assert kinds.tolist()[2] == "correct"


def test_of_equally_confident_segments_one_is_correct():
    found = FOUND.iloc[:2].assign(confidence=0.5)
    assert sorted(judge(found, TRUE, 0.5)[0]) == ["correct", "doubled"]


def test_of_no_segments_every_true_one_is_missed():
    kinds, missed = judge(FOUND.iloc[:0], TRUE, 0.5)
    assert kinds.empty and missed.all()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small recogniser of skeletons, and its data."""
    root = tmp_path_factory.mktemp("long") / "interviews"
    make_data(root, SyntheticSpec(videos=16, size="long", pictures=False))
    given = {"data": str(root), "model": "frames", "epochs": 12, "width": 16, "depth": 3}
    settings = RecognitionSettings.from_arguments(given | {"lr": 1e-2, "window": 256})
    data = load_recognition_data(settings)
    return train_recognition(settings, data), data


def test_the_marks_are_at_the_chosen_threshold(trained):
    figure = precision_recall(trained[0])
    scores = trained[0].scores().set_index(["split", "predictor"]).loc["test", "model"]
    curves, marks = figure.data[::2], figure.data[1::2]
    assert [line.name for line in curves] == [
        f"IoU {iou}, F1 {scores[f'f1_{round(100 * iou)}']:.2f}" for iou in (0.1, 0.3, 0.5)
    ]
    assert (marks[2].x[0], marks[2].y[0]) == pytest.approx((scores.recall, scores.precision))
    assert f"threshold {read_choice(trained[0]).threshold:.2f}" in text_of(figure)


def test_every_found_segment_is_of_one_kind(trained):
    run, data = trained
    table = errors_by_kind(run)
    videos, true = data.labelled("test")
    found = run.predictions()
    found = found[found.kept & (found.split == "test")]
    counts = count_segments(found, true, videos.video_id.tolist(), 0.5, "one-to-one").sum()
    assert table.segments["correct"] == counts.correct
    assert table.segments[:5].sum() == counts.found == len(found)
    assert 0 <= table.segments["missed"] <= counts.true - counts.correct


def test_the_card_has_scores_threshold_and_errors_and_needs_no_data(trained):
    run, data = trained
    page = write_card(run).read_text()
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
    choice = read_choice(run)
    assert verdict(run.scores()) in text  # of one test subject there is no interval
    best = f"best on {choice.videos} videos of validation: F1 {choice.f1:.2f} at IoU 0.5"
    assert f"threshold {choice.threshold:.2f}, {best}" in page
    for row in errors_by_kind(run).reset_index().astype(str).itertuples(index=False):
        assert " ".join(row) in text
    videos, true = data.labelled("test")
    counts = len(true), len(true), len(videos), videos.subject.nunique(), true.label.nunique()
    assert f"test {' '.join(map(str, counts))} " in text
    assert "nothing found" in text and "in whole videos, frames on inputs of pose" in text
    assert page.count('class="plotly-graph-div"') == 2  # learning curves, precision and recall
    assert command_of(run) in text and "data can no longer be checked" not in text


def test_a_card_reports_that_the_segments_have_changed(trained):
    run, data = trained
    assert open_index(run, str(data.index.root)).layout == data.index.layout
    changed = run.folder.with_name("changed-segments")
    shutil.copytree(run.folder, changed)
    truth = read_truth(run)
    Run(changed).write_table("truth.parquet", truth.assign(label=truth.label.replace({0: 1})))
    with pytest.raises(RunError, match="items have another label than in run changed-segments"):
        open_index(Run(changed), str(data.index.root))


def test_the_timeline_has_a_bar_for_each_segment(trained):
    run, data = trained
    table, figure = segments_of_video(run, data, "0013"), recognition_timeline(run, data, "0013")
    clips = data.split.clips[data.split.clips.video_id == "0013"]
    true = table[table.kind.isin(["true", "missed"])]
    assert true.start.tolist() == clips.start.tolist()
    np.testing.assert_allclose(true.end_s, (clips.end + 1) / 25)
    bars = {bar.name: bar for bar in figure.data}
    for kind, own in table.groupby("kind"):
        bar = bars[f"{kind} ({len(own)})"]
        assert list(bar.base) == own.start_s.tolist()
        assert bar.offsetgroup == ("true" if kind in ("true", "missed") else "found")


def test_a_pressed_segment_plays_from_its_start(trained, monkeypatch):
    player, sent = SegmentPlayer(*trained), []
    monkeypatch.setattr(player.player, "send", lambda content, *_: sent.append(content))
    labels = sorted(player.table.label.unique())
    chosen = player.table[player.table.kind.isin(["true", "missed"])].iloc[2]
    lane, middle = labels.index(chosen.label), (chosen.start + chosen.end) // 2
    player.press(None, {"lane": lane, "frame": middle, "height": 0.9}, None)
    assert sent == [{"kind": "play", "frame": chosen.start}]
    assert player.player.clip_id == chosen.clip_id and player.player.frame == chosen.start
    late = {"frame": int(player.table.end.max())}  # sent by the page before it knows of the press
    player.player.set_state(late)
    assert player.moment.clip_id == chosen.clip_id and player.moment.frame == chosen.start
    quiet = next(f for f in range(2000) if not player.table.start.sub(9).le(f).any())
    player.press(None, {"lane": lane, "frame": quiet, "height": 0.9}, None)
    assert len(sent) == 1


def test_a_segment_of_a_training_video_is_corrected_for_the_next_training(trained, tmp_path):
    (run, data), own = trained, Run(tmp_path / "own")
    shutil.copytree(run.folder, own.folder)
    player = SegmentPlayer(own, data)
    known = data.videos[data.videos.video_id.isin(data.known.video_id)]
    offered = [f"{split} · {video_id}" for video_id, split in known[["video_id", "split"]].values]
    assert sorted(name for name, _ in player.video.options) == sorted(offered)
    assert player.video.label.startswith("test · ")
    player.video.value = known.video_id[known.split == "train"].iloc[0]
    assert player.player.video_id == player.lanes.own_video == player.video.value
    true = player.table[player.table.kind.isin(["true", "missed"])].iloc[0]
    lane = sorted(player.table.label.unique()).index(true.label)
    middle = (true.start + true.end) // 2
    player.press(None, {"lane": lane, "frame": middle, "height": 0.9}, None)
    _, choice, relabel, _, state = player.buttons.children
    names = data.index.vocabulary.classes
    choice.value = other = names[(true.label + 1) % 20]
    relabel.click()
    assert state.value.startswith(f"relabel {other} ")
    small = {"data": str(data.index.root), "model": "frames", "epochs": 1, "width": 8, "depth": 3}
    path = str(own.folder / "corrections.csv")
    again = train_recognition(RecognitionSettings.from_arguments(small | {"corrections": path}))
    truth = read_truth(again).set_index("clip_id")
    assert names[int(truth.label[true["item"]])] == other
    assert any("1 relabelled (" in remark for remark in again.provenance()["remarks"])


def test_the_half_of_a_lane_decides_between_true_and_found(trained):
    player = SegmentPlayer(*trained)
    correct = player.table[player.table.kind == "correct"].iloc[0]
    lane = sorted(player.table.label.unique()).index(correct.label)
    frame = (correct.start + correct.end) // 2
    for height, kinds in ((0.1, {"correct"}), (0.9, {"true"})):
        player.press(None, {"lane": lane, "frame": frame, "height": height}, None)
        assert player.moment.clip_id.rpartition(" ")[0] in kinds


def test_a_segment_of_one_frame_is_drawn(trained):
    player = SegmentPlayer(*trained)
    values = np.frombuffer(player.lanes.values, np.float32)
    cells = sum(end - start + 1 for start, end in player.table[["start", "end"]].to_numpy())
    assert 0 < np.isfinite(values).sum() <= cells + len(player.table)


def test_an_unknown_video_is_refused(trained):
    with pytest.raises(DataError, match="video 'nowhere' does not exist"):
        segments_of_video(*trained, "nowhere")
