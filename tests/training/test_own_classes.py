"""Somebody's own twelve classes: named by their data from training to the last figure."""

import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imigue_lab.app import main
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.source import open_data
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.results.compare import compare
from imigue_lab.results.fuse import fuse
from imigue_lab.results.open import load_run, open_index
from imigue_lab.results.submit import submit
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import load_baseline, train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.train import load_gesture, train_gesture
from imigue_lab.views import answers
from imigue_lab.views.card import write_card
from imigue_lab.views.contents import class_counts, split_counts
from imigue_lab.views.player.widgets import ErrorBrowser
from imigue_lab.views.prototypes.plane import hover_names, nearest_clips, points_on_plane
from imigue_lab.views.prototypes.points import PrototypesSettings, project, read_points
from imigue_lab.views.style import DISTINCT, class_colours
from tests.views.texts import labels_of

NAMES = "nod,shake,shrug,bow,point,wave,clap,knock,scratch,yawn,stretch,sit still".split(",")
IDS = [str(n) for n in (*range(1, 12), 20)]
LABELS = [f"{own} {name}" for own, name in zip(IDS, NAMES, strict=True)]
SPLITS = ("train", "train", "train", "validation", "test")


def write_root(root, names=NAMES, groups=("",) * 12):
    """Sixty clips of ten videos and five subjects: random keypoints, RGB tokens of the class."""
    rng = np.random.default_rng(0)
    for folder in ("keypoints", "rgb"):
        (root / folder).mkdir(parents=True)
    videos, clips = [], []
    for number in range(10):
        video_id = f"talk{number}"
        videos.append((video_id, SPLITS[number // 2], f"person{number // 2}"))
        points = rng.uniform(100, 400, size=(48, 22, 3)).astype(np.float32)
        points[..., 2] = 0.9
        np.save(root / "keypoints" / f"{video_id}.npy", points)
        for row in range(6):
            label = (number % 2) * 6 + row
            own = (IDS if row % 2 else names)[label]  # an id or a name
            clips.append((f"{video_id}_{row}", video_id, 8 * row, 8 * row + 7, own))
            tokens = rng.normal(size=(4, 12)) + 5 * np.eye(12)[label]
            np.save(root / "rgb" / f"{video_id}_{row}.npy", tokens)
    pd.DataFrame(videos, columns=["video_id", "split", "subject"]).to_csv(
        root / "videos.csv", index=False
    )
    columns = ["clip_id", "video_id", "start", "end", "class"]
    pd.DataFrame(clips, columns=columns).to_csv(root / "clips.csv", index=False)
    table = {"class": IDS, "name": names, "group": groups}
    pd.DataFrame(table).assign(background=[""] * 11 + ["1"]).to_csv(
        root / "classes.csv", index=False
    )
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_root(tmp_path_factory.mktemp("own") / "talks")


def pose_run(root, name, stream="joint", **given):
    given = {"data": str(root), "frames": 8, "epochs": 1, "name": name, "stream": stream} | given
    return train_baseline(BaselineSettings.from_arguments(given))


@pytest.fixture(scope="module")
def poses(root):
    return [pose_run(root, f"talks-{stream}", stream) for stream in ("joint", "bone")]


@pytest.fixture(scope="module")
def opened(root, poses):
    given = {"data": str(root), "rgb": str(root / "rgb"), "frames": 8, "epochs": 8, "warmup": 6}
    given |= {"width": 12, "heads": 3, "batch_size": 6, "bank": 3, "top_k": 2, "lr": 1e-2}
    given |= {"name": "talks-gesture", "joint_run": "talks-joint", "bone_run": "talks-bone"}
    train_gesture(GestureSettings.from_arguments(given))
    return load_run("talks-gesture")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A root of the same clips, whose second class has another name."""
    names = [NAMES[0], "tilt", *NAMES[2:]]
    return write_root(tmp_path_factory.mktemp("other") / "talks", names)


def test_a_baseline_has_as_many_classes_as_the_data_and_stores_their_names(poses):
    run = poses[0]
    assert run.read_checkpoint("best")["classes"] == NAMES
    assert [*run.vocabulary().ids] == IDS and run.vocabulary().background == 11
    predictions = run.predictions()
    assert [name for name in predictions if name[1:].isdigit()] == [f"p{n}" for n in range(12)]
    assert all(name in (*NAMES, "model") for name in run.scores().predictor.str[7:].iloc[1::2])


def test_the_gesture_model_and_its_bank_have_them_too(opened):
    memory = opened.model.gesture.memory
    assert len(memory.bank.entries) == len(memory.prototypes.vectors) == 12
    assert opened.run.read_checkpoint("best")["model"]["classes"] == 12


def test_figures_and_tables_show_ids_and_names_of_the_data(opened, root):
    shown = answers.read_predictions(opened.run, "test")
    assert list(shown.truth.cat.categories) == LABELS and "truth_group" not in shown
    figures = answers.error_figures(opened.run, shown)
    assert "confusion_by_group" not in figures
    assert list(figures["confusion"].data[0].y) == LABELS  # every class is in the test split
    browser = ErrorBrowser(shown, opened.index)
    assert browser.by.layout.display == "none" and browser.matrix.rows == LABELS
    bars = class_counts(opened.index)
    assert list(bars.data[0].y) == LABELS and bars.data[0].name == "train"
    assert not [name for name in split_counts(opened.index) if "published" in name]


def test_points_of_a_memory_are_named_and_not_grouped(opened):
    points = read_points(opened)
    assert set(points.table.name) <= set(LABELS)
    flat = project(opened.run, points, PrototypesSettings(method="pca"))
    figure = points_on_plane(opened, flat)
    menu = [button.label for button in figure.layout.updatemenus[0].buttons]
    assert menu == ["class", "confidence", "age", "correctness"]
    marked = {note.text for note in figure.layout.annotations if note.font.weight == "bold"}
    assert set(points.table.name.str.split().str[0]) <= marked
    assert not any("group" in text for text in hover_names(flat.table, points.vocabulary))
    rows = {text.replace("<br>", " ") for text in labels_of(nearest_clips(opened, points))}
    assert rows & set(points.table.name)


def test_the_card_does_not_speak_of_imigue(opened):
    page = write_card(opened.run).read_text()
    use = page.partition("<h2>Intended use")[2].partition("<h2>")[0]
    assert "micro-gestures of the training data" in use
    assert "tennis" not in use and "iMiGUE" not in use
    assert "MiGA" not in page and "20 sit still" in page


def test_no_challenge_takes_them_and_their_table_has_their_ids(opened):
    with pytest.raises(SettingsError, match="track 1 of own has plain, got 2025"):
        submit(opened.run, 1, "2025")
    with zipfile.ZipFile(submit(opened.run, 1)) as file:
        table = pd.read_csv(file.open("prediction.csv"), dtype=str)
    assert table.columns.tolist() == ["clip_id", "class"]
    assert len(table) == 12 and set(table["class"]) <= {*IDS}


def test_a_run_is_refused_by_name_on_data_of_other_classes(opened, poses, other):
    data = load_gesture_data(open_data(str(other)))
    said = "classes has 'shake' at 1, expected 'tilt'"
    with pytest.raises(RunError, match=said):
        load_baseline(poses[0], data)
    with pytest.raises(RunError, match=said):
        load_gesture(opened.run, replace(opened.data, gestures=data))
    with pytest.raises(RunError, match="the second has 'tilt' at 1, expected 'shake'; choose"):
        open_index(opened.run, str(other))
    stranger = pose_run(other, "tilted-joint")
    with pytest.raises(RunError, match="the second has 'tilt' at 1, expected 'shake'; choose runs"):
        fuse(["talks-joint", "tilted-joint"])
    with pytest.raises(RunError, match="'tilt' at 1, expected 'shake'; choose runs"):
        compare({"own": [poses[0]], "other": [stranger]})


def test_a_fusion_has_the_vocabulary_of_its_runs(poses):
    fused = fuse(["talks-joint", "talks-bone"])
    assert fused.vocabulary() == poses[0].vocabulary()
    assert list(answers.read_predictions(fused, "test").truth.cat.categories) == LABELS


def test_ids_and_groups_of_a_finished_run_are_those_of_the_data_now(poses, root):
    text = (root / "classes.csv").read_text()
    (root / "classes.csv").write_text(text.replace("1,nod,", "1,nod,head"))
    try:
        assert pose_run(root, "talks-joint").vocabulary().groups == ("head", *["other"] * 11)
        shown = answers.read_predictions(poses[0], "test")
        assert set(shown.truth_group) == {"head", "other"}
        colours = class_colours(read_index(root).vocabulary)
        assert len(set(colours)) == 2 and colours[0] not in colours[1:]
    finally:
        (root / "classes.csv").write_text(text)
        assert len(set(class_colours(pose_run(root, "talks-joint").vocabulary()))) == 12


def test_scores_are_printed_by_the_command(root, capsys):
    words = ["--frames", "8", "--epochs", "1", "--name", "talks-joint"]
    main(["train", "baseline", "--data", str(root), *words])
    assert f"always {NAMES[0]}" in capsys.readouterr().out


def test_each_group_of_imigue_has_one_colour_that_every_colour_vision_sees():
    colours = dict(zip(builtin("imigue").groups, class_colours(builtin("imigue")), strict=True))
    assert list(colours.values()) == list(DISTINCT[:6])  # see tests/views/prototypes
