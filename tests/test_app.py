"""The command line: help, exit status, and the settings of the notebooks as options."""

import argparse
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.app import main
from imigue_lab.data.elan import read_eaf, write_eaf
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.segments import as_segments
from imigue_lab.data.skeletons import keypoints
from imigue_lab.data.store import find_store
from imigue_lab.data.synthetic.story import LAYOUTS, SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.videos.frame_table import frame_table
from imigue_lab.data.videos.video import frames_at, write_video
from imigue_lab.data.vocabulary import builtin
from imigue_lab.features import CATALOGUE
from imigue_lab.models.baselines import ROWS
from imigue_lab.studies.variants import VARIANTS
from imigue_lab.training.emotion.settings import EmotionSettings


def run(*words):
    """Exit status of one command."""
    try:
        main(words)
    except SystemExit as end:
        return end.code or 0
    return 0


def test_help_names_the_commands(capsys):
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in ("make-data", "train", "card", "html"))


COMMANDS = "make-data check classes extract weights train pretrain fuse table ablate search compare"
COMMANDS = [*COMMANDS.split(), "card", "agree", "submit", "html"]


def measured(*words):
    """What a command in a process of its own prints, its seconds of processor time, and which of
    some packages it has loaded."""
    code = "import sys; from imigue_lab.app import main\ntry: main(sys.argv[1:])\nfinally: print("
    code += "*(m for m in ('torch', 'torchvision', 'pandas', 'scipy') if m in sys.modules))"
    before = os.times()
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *printed, loaded = done.stdout.split("\n")[:-1]
    return printed, sum(os.times()[2:4]) - sum(before[2:4]), loaded.split()


@pytest.mark.parametrize("words", [[], ["train", "baseline"], ["extract"]], ids=str)
def test_help_takes_less_than_a_second_of_processor_time(words):
    printed, seconds, loaded = measured(*words, "--help")
    assert printed[0].startswith("usage: ") and seconds < 1 and loaded == []


def test_training_a_finished_run_again_takes_less_than_five_seconds(trained, synthetic):
    words = ["--epochs", "3", "--width", "8", "--heads", "2", "--name", "trained"]
    printed, seconds, loaded = measured("train", "emotion", "--data", str(synthetic), *words)
    assert printed[0] == f"already finished: {trained[0].folder}"
    assert seconds < 5 and "torchvision" not in loaded


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return make_data(
        tmp_path_factory.mktemp("long") / "interviews",
        SyntheticSpec(videos=12, size="long", pictures=False),
    ).root


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("train baseline", "--frames 8 --name joint"),
        ("train gesture", "--frames 8 --warmup 0 --width 12 --heads 3 --name sums"),
        ("train recognition", "--width 8"),
        ("pretrain motion", "--frames 8 --probe false"),
    ],
    ids=lambda own: own,
)
def test_every_finished_training_returns_in_less_than_five_seconds(command, more, synthetic, long):
    root = long if "recognition" in command else synthetic
    words = [*command.split(), "--data", str(root), "--epochs", "1", *more.split()]
    assert run(*words) == 0
    printed, seconds, _ = measured(*words)
    runs = 3 if "gesture" in command else 1  # with those of its pose encoder
    assert all(line.startswith("already finished: ") for line in printed[:runs])
    assert "run: " not in "".join(printed) and seconds < 5


def test_help_of_a_command_says_what_it_does_and_where_its_result_is(capsys):
    for command in COMMANDS:
        assert run(command, "--help") == 0
        printed = capsys.readouterr().out.split("\n\n")
        assert printed[1][0].isupper() and printed[1].endswith(".")
        if command in ("fuse", "card", "submit", "html"):
            assert re.search("[Ww]rites|[Pp]rints", printed[1]), command
    run("fuse", "--help")
    assert "maximise the likelihood of the labels" in " ".join(capsys.readouterr().out.split())


def test_every_setting_is_an_option_with_its_values_and_help(capsys):
    assert run("train", "emotion", "--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for name, field in EmotionSettings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in printed
        assert field.description in printed
    for option in ("--gate {shared,cross,convex} ", "--gamma X ", "--refit {true,false} "):
        assert option in printed
    assert "--refit {true,false} then train" in printed and "(default: True)" not in printed
    assert "(default: true)" in printed and "(default: false)" in printed
    assert run("train", "baseline", "--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "--model NAME " in printed and all(name in printed for name in ROWS)


@pytest.mark.parametrize(
    ("words", "option", "names"),
    [
        (["extract"], "encoders", CATALOGUE),
        (["ablate"], "variants", [name for own in VARIANTS.values() for name in own]),
        (["train", "recognition"], "keypoints", keypoints.LAYOUTS),
        (["train", "emotion"], "context", [own for own in CATALOGUE if own.startswith("context-")]),
        (["train", "emotion"], "face", ["face-swinface", "face-expression"]),
        (["train", "gesture"], "rgb", ["rgb-tiny", "rgb-mvitv2s"]),
        (["train", "emotion"], "preset", ["paper", "demo"]),
    ],
    ids=lambda own: own if isinstance(own, str) else "",
)
def test_help_of_an_option_lists_the_names_that_it_knows(words, option, names, capsys):
    assert run(*words, "--help") == 0
    text = capsys.readouterr().out.partition(f"\n  --{option} NAME ")[2].partition("\n  --")[0]
    listed = re.findall(r"[\w.-]+", re.sub(r"-\s+", "-", text))  # lines break at hyphens
    assert set(names) <= set(listed)


def test_make_data_and_train_end_with_a_score_table(tmp_path, capsys):
    root = str(tmp_path / "tree")
    assert run("make-data", root, "--videos", "12", "--no-pictures", "--seed", "4") == 0
    assert "12 synthetic interviews" in capsys.readouterr().out
    words = ["--data", root, "--epochs", "1", "--width", "8", "--heads", "2"]
    assert run("train", "emotion", *words, "--max-windows", "5") == 0
    assert "always win" in capsys.readouterr().out


def test_extract_prints_what_it_extracted_and_the_second_time_that_nothing_is_left(
    tmp_path, capsys
):
    folder, store = tmp_path / "videos", str(tmp_path / "store")
    folder.mkdir()
    write_video(folder / "anna.mp4", np.zeros((20, 64, 64, 3), np.uint8), 25)
    words = ["extract", "--data", str(folder), "--store", store, "--encoders", "context-tiny"]
    assert run(*words) == 0
    printed = capsys.readouterr().out
    assert "context-tiny-" in printed and "(untrained weights)" in printed
    assert "extracted 1 items: 1 windows" in printed
    assert run(*words) == 0
    assert "nothing to do: 1 items already extracted" in capsys.readouterr().out
    assert run(*words, "--trial") == 1
    assert "no trial is needed" in capsys.readouterr().err


def test_extract_ends_with_status_1_when_a_video_failed_and_extracts_the_others(tmp_path, capsys):
    folder, store = tmp_path / "videos", str(tmp_path / "store")
    folder.mkdir()
    write_video(folder / "anna.mp4", np.zeros((20, 64, 64, 3), np.uint8), 25)
    (folder / "bert.mp4").write_bytes((folder / "anna.mp4").read_bytes()[:300])
    words = ["extract", "--data", str(folder), "--store", store, "--encoders", "context-tiny"]
    assert run(*words) == 1
    printed = capsys.readouterr().out
    assert "extracted 1 items" in printed
    assert printed.count("bert.mp4: not a readable video") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--detector-weights", "y.onnx"], "leave detector_weights empty"),
        (["--preset", "paper"], "detector yolo-face needs weights: download"),
        (["--encoders", "context-mvitv2s", "--context-weights", "y.pyth"], "y.pyth: no such file"),
    ],
    ids=["detector", "paper", "weights"],
)
def test_extract_stops_with_a_sentence_where_weights_are_missing(
    tmp_path, capsys, words, complaint
):
    write_video(tmp_path / "anna.mp4", np.zeros((20, 64, 64, 3), np.uint8), 25)
    assert run("extract", "--data", str(tmp_path), *words) == 1
    printed = capsys.readouterr().err
    assert complaint in printed
    assert printed.startswith("imigue-lab: ") and printed.count("\n") == 1


def test_two_processes_of_torchrun_extract_together_what_one_extracts(tmp_path):
    folder, rng = tmp_path / "videos", np.random.default_rng(0)
    folder.mkdir()
    for name, frames in (("anna", 20), ("bert", 50), ("cleo", 35)):
        write_video(folder / f"{name}.mp4", rng.integers(0, 255, (frames, 64, 64, 3), np.uint8), 25)
    words = ["extract", "--data", str(folder), "--encoders", "context-tiny", "--store"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "imigue_lab", *words, str(tmp_path / "two")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    extracted = sorted(re.findall(r"extracted \d items", done.stdout))
    assert extracted == ["extracted 1 items", "extracted 2 items"]
    assert run(*words, str(tmp_path / "one")) == 0
    index = read_index(folder)
    two, one = (find_store(str(tmp_path / name), index, "context-tiny") for name in ("two", "one"))
    for item in ("anna", "bert", "cleo"):
        np.testing.assert_allclose(
            two.read(item)["context"], one.read(item)["context"], atol=1e-5, rtol=0
        )
    assert len(pd.read_csv(two.folder / "manifest.csv")) == 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_make_data_writes_every_layout(tmp_path, capsys, layout):
    root = str(tmp_path / "tree")
    words = ["--layout", layout, "--size", "full", "--videos", "3", "--no-pictures"]
    assert run("make-data", root, *words) == 0
    assert "3 synthetic interviews with 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["train", "emotion", "--gama", "1"], 2, "unrecognized arguments: --gama"),
        (["train", "emotion", "--gamma", "-1"], 2, "gamma: input should be greater"),
        (["train", "emotion", "--gamma", "high"], 2, "gamma: input should be a valid number"),
        (["train"], 2, "required"),
        (["make-data", "here", "--videos", "0"], 2, "at least 1"),
        (["extract", "--encoders", "huge"], 2, "encoders: unknown 'huge'; choose from tiny"),
        (["train", "emotion", "--data", "/nowhere"], 1, "/nowhere: no such folder"),
        (["html", "none.ipynb"], 1, "none.ipynb: no such notebook"),
    ],
)
def test_exit_status_distinguishes_usage_errors_from_data_errors(words, status, complaint, capsys):
    assert run(*words) == status
    printed = capsys.readouterr().err
    assert complaint in printed
    assert "Traceback" not in printed


def test_check_needs_no_workspace_and_a_study_says_that_it_does(
    filmed, tmp_path, capsys, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path / "file" / "workspace"))
    assert run("check", str(filmed)) == 0
    assert "6 videos" in capsys.readouterr().out
    assert run("search", "--data", str(filmed), "--trials", "2") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_names_that_are_not_ascii_work_in_an_ascii_locale(tmp_path):
    words = ["make-data", str(tmp_path / "Gespräche"), "--videos", "3", "--no-pictures"]
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "imigue_lab", *words], env=env, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Gespräche".encode() in done.stdout and (tmp_path / "Gespräche").is_dir()


def test_check_of_one_file_says_what_it_contains(tmp_path, capsys):
    write_video(tmp_path / "IMG_1.MOV", np.zeros((30, 48, 64, 3), np.uint8), 25)
    (tmp_path / "0007_label.csv").write_text("class;start;end\n7,0;0;39\n")
    torch.save({"model": {"w": torch.zeros(3)}, "args": argparse.Namespace()}, tmp_path / "a.pth")
    np.save(tmp_path / "k.npy", np.ones((4, 22, 3), np.float32))
    rows = pd.DataFrame([(3, 20, 29, 0.5)], columns=["label", "start", "end", "confidence"])
    film, notes = tmp_path / "IMG_1.MOV", tmp_path / "notes.eaf"
    write_eaf(as_segments(rows, np.arange(31) / 25), film, 25, notes, builtin("imigue"))
    notes.write_text(notes.read_text().replace('"1200"', '"1300"'))
    for name, expected in (
        ("IMG_1.MOV", "30 frames of 64 x 48, 25 a second, second 0.000 to 1.200"),
        ("0007_label.csv", "0007_0: 0 to 39, "),
        ("a.pth", "1 weights, 3 numbers; no code in it was run"),
        ("k.npy", "4 frames of 22 joints"),
        ("notes.eaf", "gestures were cut to the end of the video: "),
    ):
        assert run("check", str(tmp_path / name)) == 0
        assert expected in capsys.readouterr().out
    assert run("check", __file__) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.shared
def test_files_that_others_could_not_read_have_their_right_values(shared, capsys):
    files = shared / "inputs"
    for name, expected in {
        "variable_rate.mp4": "60 frames of 64 x 48, 18.07 a second, at a variable rate",
        "turned.mp4": "25 frames of 48 x 64, 25 a second",
        "thumbnail_first.mov": "50 frames of 64 x 48",
        "live_25_says_30.webm": "50 frames of 64 x 48, 25 a second",
        "IMG_0001.MOV": "30 frames of 64 x 48",
        "time_origin_1000.eaf": "75   99      3.0    4.0",
        "symbolic_child.eaf": "10   29      0.4    1.2",
        "empty_value.eaf": "annotations without a value were skipped: at 00:01.300",
        "0001_label_decimals.csv": "0001_0: 0 to 39",
        "0001_label_header.csv": "0001_0: 0 to 39",
        "weights_with_namespace.pth": "2 weights",
        "rtmpose_coco17_scores_above_1.npy": "scores above 1 are taken for 1",
        "fractions_of_the_picture": "coordinates are fractions of a picture of unknown size",
        "excel_ids": "1 is 0001, 2 is 0002",
        "semicolons": "2 videos",
    }.items():
        assert run("check", str(files / name)) == 0
        assert expected in capsys.readouterr().out
    seconds = frame_table(files / "variable_rate.mp4").seconds
    assert seconds[20] == 2 and frames_at(seconds, 25)[50] == 20
    read = read_eaf(files / "past_the_end.eaf", np.arange(51) / 25, builtin("imigue"))
    assert read.segments.end.tolist() == [29, 49] and len(read.remarks) == 1
