"""The card of a run: one page without a network, consistent with its tables and settings."""

import re
from html import unescape

import pandas as pd
import pytest

from imigue_lab.app import main
from imigue_lab.results.fuse import fuse, show_members
from imigue_lab.results.open import command_of, open_index
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.views import card
from imigue_lab.views.answers import hardest, read_predictions
from imigue_lab.views.card import (
    TEXTS,
    findings_of,
    setting_table,
    split_table,
    verdict,
    write_card,
)


@pytest.fixture(scope="module")
def clip_runs(synthetic):
    """A baseline run, and a gesture run on the tokens of two such."""
    given = {"data": str(synthetic), "frames": 8, "epochs": 1}
    runs = [
        train_baseline(BaselineSettings.from_arguments({**given, "stream": s, "name": f"card-{s}"}))
        for s in ("joint", "bone")
    ]
    pose = {"joint_run": "card-joint", "bone_run": "card-bone"}
    small = {**given, **pose, "batch_size": 32, "name": "card-gesture"}
    return {"baseline": runs[0], "gesture": train_gesture(GestureSettings.from_arguments(small))}


@pytest.fixture(scope="module")
def fused(clip_runs):
    """Both streams, joint first, in a folder of its own."""
    return fuse(["card-joint", "card-bone"], "2:1", name="card-fused")


def text_of(run):
    """The visible text of the page without figures, and the whole page."""
    page = write_card(run).read_text()
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split()), page


@pytest.mark.parametrize("task", ["emotion", "baseline", "gesture"])
def test_a_card_is_complete_for_a_run_of_any_task(task, trained, clip_runs):
    run = trained[0] if task == "emotion" else clip_runs[task]
    text, page = text_of(run)
    assert verdict(run.scores()) in text
    assert command_of(run) in text
    encoders = {run.settings()["data"].get(stream, "") for stream in ("context", "face", "rgb")}
    assert all(encoder in text for encoder in encoders)
    assert task == "baseline" or encoders != {""}
    limits = TEXTS["emotion" if task == "emotion" else "gesture"]["limits"].split("\n\n")
    who = TEXTS["people"]["iMiGUE"]
    assert all(" ".join(limit.format(who).split()) in text for limit in limits)
    assert all(remark in text for remark in run.provenance()["remarks"])
    assert f"{run.provenance()['peak_memory_mib']:,} MiB" in text
    assert all(item in text for item in hardest(read_predictions(run), 12).item)
    assert "data can no longer be checked" not in text
    assert page.count('class="plotly-graph-div"') == (3 if task == "emotion" else 4)


def test_a_card_of_a_fusion_lists_its_runs_and_how_to_reproduce_it(fused, clip_runs):
    text, page = text_of(fused)
    assert verdict(fused.scores()) in text
    assert command_of(fused) in text
    assert (
        command_of(fused) == "imigue-lab fuse card-joint card-bone --weights 2:1 --name card-fused"
    )
    shown, sentences = show_members(fused)
    assert all(name in text for name in ("card-joint", "card-bone"))
    assert all(" ".join(sentence.split()) in text for sentence in sentences) and sentences
    assert all(str(gain) in text for gain in shown["fusion gains"])
    assert "Cost" not in text and "Learning curves" not in text
    assert all(remark in text for remark in clip_runs["baseline"].provenance()["remarks"])
    assert "data can no longer be checked" not in text
    assert page.count('class="plotly-graph-div"') == 3


def test_a_card_fetches_nothing_contains_no_picture_and_is_written_atomically(trained):
    page = write_card(trained[0])
    text = page.read_text()
    assert page == trained[0].folder / "card.html"
    assert text.count("plotly.js v") == 1
    ours = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)  # but plotly.js
    assert len(ours) < 200_000
    assert not re.search(r"""(src|href)=["']?http|data:image|@import|url\(""", ours)
    assert not list(page.parent.glob(".writing-*"))


def test_settings_that_differ_are_listed_with_their_default(trained):
    table = setting_table(trained[0]).set_index("setting")
    assert {"data", "epochs", "width", "heads", "name"} == set(table.index)
    assert (table.value["width"], table.default["width"]) == (8, 32)
    assert table.description["width"] == "token width (paper: 512)"


def test_splits_are_counted_once_with_their_subjects(trained):
    run, data = trained
    table = split_table(run).set_index("split")
    assert table.interviews.sum() == len(data.split.videos)
    for part in ("train", "validation", "test"):
        own = data.split.part(part)
        assert table.subjects[part] == own.subject.nunique()
        assert table.win[part] == (own.outcome == 1).sum()


@pytest.mark.parametrize(
    ("constant", "result"),
    [(0.4, "below that interval"), (0.6, "inside that interval"), (0.8, "above that interval")],
)
def test_the_verdict_compares_the_better_constant_predictor_with_the_interval(constant, result):
    row = {"split": "test", "n": 40, "accuracy_interval": None}
    rows = [
        {**row, "predictor": "model", "accuracy": 0.6, "accuracy_interval": [0.45, 0.74]},
        {**row, "predictor": "always win", "accuracy": constant},
        {**row, "predictor": "always lose", "accuracy": 0.1},
    ]
    sentence = verdict(pd.DataFrame(rows))
    assert f"always win”, has {constant:.2f}, {result}" in sentence
    assert "0.60, 95 % interval 0.45 to 0.74" in sentence


def test_the_verdict_does_not_take_a_head_for_a_constant_predictor():
    row = {"split": "test", "n": 40, "top1_interval": None}
    rows = [
        {**row, "predictor": "model", "top1": 0.6, "top1_interval": [0.45, 0.74]},
        {**row, "predictor": "average of heads", "top1": 0.9},
        {**row, "predictor": "always touching hat", "top1": 0.3},
    ]
    sentence = verdict(pd.DataFrame(rows))
    assert "The constant predictor, “always touching hat”, has 0.30, below that" in sentence
    found = pd.DataFrame(rows).rename(columns=lambda name: name.replace("top1", "f1_50"))
    assert "(n = 40) F1 at IoU 0.5 is 0.60, 95 % interval 0.45 to 0.74" in verdict(found)


def test_a_card_of_own_data_does_not_speak_of_the_people_of_another_data_set(plain, quick):
    root = plain()
    own = {name: str(root / name) for name in ("context", "face")}
    page = card.write_card(train_emotion(quick(data=str(root), name="of-own", epochs=1, **own)))
    assert "tennis" not in page.read_text()


def test_a_card_reports_that_the_data_are_missing(trained, monkeypatch):
    gone = str(trained[0].folder / "gone")
    monkeypatch.setattr(card, "open_index", lambda run, *_: open_index(run, gone))
    assert "can no longer be checked" in findings_of(trained[0])[0]
    assert "gone: no such folder" in text_of(trained[0])[0]


def test_a_card_reports_that_the_labels_have_changed(trained, index, tmp_path, monkeypatch):
    labels = index.videos.assign(label=1 - index.videos.outcome)[["video_id", "label"]]
    labels.to_csv(tmp_path / "labels.csv", index=False)
    changed = str(index.root), str(tmp_path / "labels.csv")
    monkeypatch.setattr(card, "open_index", lambda run, *_: open_index(run, *changed))
    assert f"{len(index.videos)} items have another outcome" in findings_of(trained[0])[0]


def test_names_of_files_are_escaped(trained, monkeypatch):
    gone = str(trained[0].folder / "<b>bold")
    monkeypatch.setattr(card, "open_index", lambda run, *_: open_index(run, gone))
    assert "<b>bold" not in text_of(trained[0])[1]


def test_the_command_writes_the_card_and_refuses_an_unknown_run(trained, capsys):
    main(["card", "trained"])
    assert capsys.readouterr().out.strip() == f"card: {trained[0].folder / 'card.html'}"
    with pytest.raises(SystemExit) as end:
        main(["card", "none"])
    assert end.value.code == 1
    assert "no finished run; there are: " in capsys.readouterr().err
