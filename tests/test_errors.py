"""A file that may not be read, or is too large, is said to be so; its content is not blamed."""

import builtins
import errno
import io
import os

import av
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from imigue_lab.app import main
from imigue_lab.data.elan import open_eaf
from imigue_lab.data.index import Survey
from imigue_lab.data.keypoint_files.formats import read_ntu_skeleton, read_rtmpose_json
from imigue_lab.data.keypoint_files.openpose import read_people
from imigue_lab.data.keypoint_files.tables import (
    read_keypoint_csv,
    read_openpose_xlsx,
    read_points,
)
from imigue_lab.data.layouts.pickles import read_pickle
from imigue_lab.data.layouts.tables import read_table
from imigue_lab.data.skeletons.keypoints import declared_layout
from imigue_lab.data.store import Encoding, OwnFeatures
from imigue_lab.data.videos.frame_table import open_stream
from imigue_lab.errors import PERMISSION, LabError, RunError
from imigue_lab.features.detectors import YoloFace
from imigue_lab.features.poses import picture_size, read_user_recording
from imigue_lab.models.checkpoints.registry import read_checkpoint
from imigue_lab.results.agree import read_segments
from imigue_lab.results.submit_segments import read_template
from imigue_lab.training.baselines.start import identity_of_start
from imigue_lab.training.recognition.scores import read_truth
from imigue_lab.training.runs import Run


def print_problems(path):
    survey = Survey(path.parent, "plain")
    read_table(path, ["video_id"], survey)
    print(*survey.problems)


READERS = {
    "table.csv": print_problems,
    "0001_light.csv": read_keypoint_csv,
    "own.csv": read_user_recording,
    "0001_1.xlsx": read_openpose_xlsx,
    "own.npy": read_points,
    "frame.json": read_people,
    "rtmpose.json": read_rtmpose_json,
    "S001.skeleton": read_ntu_skeleton,
    "ntu.pkl": read_pickle,
    "keypoints.json": lambda path: declared_layout(path.parent),
    "v0.npy": lambda path: OwnFeatures(path.parent, Encoding("own", "")).read("v0"),
    "film.mp4": open_stream,
    "weights.pt": lambda path: identity_of_start(str(path)),
    "metrics.csv": lambda path: Run(path.parent).metrics(),
    "settings.json": lambda path: Run(path.parent).settings(),
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch, capsys, name):
    path = tmp_path / name
    path.write_text("content")
    opened = io.open

    def deny(file, *rest, **more):
        if not isinstance(file, int) and os.fspath(file) == str(path):
            raise av.error.PermissionError(errno.EACCES, "Permission denied", str(file))
        return opened(file, *rest, **more)

    for module in (builtins, io, av):
        monkeypatch.setattr(module, "open", deny)
    try:
        READERS[name](path)
        sentence = capsys.readouterr().out
    except LabError as error:
        sentence = str(error)
    assert sentence.strip().endswith("; " + PERMISSION) and str(path) in sentence


MOST = {  # bytes, by the name of a file that is read whole
    **dict.fromkeys(("table.csv", "template.csv", "gestures.csv", "talk.eaf"), 10**8),
    **dict.fromkeys(("0001_light.csv", "own.csv", "own_skeleton.csv", "own.pose"), 10**9),
    **dict.fromkeys(("rtmpose.json", "S001.skeleton", "metrics.csv", "settings.json"), 10**9),
    **dict.fromkeys(("predictions.parquet", "truth.parquet"), 10**9),
    **dict.fromkeys(("face.onnx", "pose.onnx"), 2 * 10**9),
    **dict.fromkeys(("ntu.pkl", "weights.pt", "foreign.pt", "best.safetensors"), 16 * 10**9),
    "frame.json": 20 * 10**6,
    "keypoints.json": 10**6,
}
BOUNDED = READERS | {
    "template.csv": read_template,
    "gestures.csv": lambda path: read_segments(path, []),
    "talk.eaf": open_eaf,
    "own_skeleton.csv": read_points,
    "own.pose": read_points,
    "predictions.parquet": lambda path: Run(path.parent).predictions(),
    "truth.parquet": lambda path: read_truth(Run(path.parent)),
    "face.onnx": lambda path: YoloFace(path, threads=1),
    "pose.onnx": picture_size,
    "foreign.pt": read_checkpoint,
    "best.safetensors": lambda path: Run(path.parent).read_checkpoint("best"),
}


def complaint_of(name, path, capsys):
    try:
        BOUNDED[name](path)
    except LabError as error:
        return str(error)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", MOST)
def test_a_file_beyond_its_bound_is_refused_unread_with_both_sizes(tmp_path, capsys, name):
    path = tmp_path / name
    path.touch()
    os.truncate(path, MOST[name] + 1)  # takes no room on the disk
    sentence = complaint_of(name, path, capsys).strip()
    sizes = f"it is larger than {MOST[name] / 1e6:g} MB: {MOST[name] + 1:,} bytes"
    assert str(path) in sentence and sizes in sentence and len(sentence.splitlines()) == 1


@pytest.mark.parametrize("name", ["table.csv", "rtmpose.json", "own.pose", "ntu.pkl", "talk.eaf"])
def test_a_link_to_a_device_without_end_is_refused(tmp_path, capsys, name):
    (tmp_path / name).symlink_to("/dev/zero")
    assert "MB: no regular file" in complaint_of(name, tmp_path / name, capsys)


def test_a_table_of_a_run_that_repeats_one_row_without_end_is_refused(tmp_path):
    path = tmp_path / "predictions.parquet"
    table = pa.table({"split": pa.DictionaryArray.from_arrays(np.zeros(20_000_001, np.int8), [""])})
    parquet.write_table(table, path)
    assert path.stat().st_size < 100_000
    with pytest.raises(RunError, match=r"cannot be read .it has 20,000,001 rows, the most are 20,"):
        Run(tmp_path).predictions()


@pytest.mark.parametrize(
    "words",
    [
        ["check", "NAME"],
        ["classes", "NAME"],
        ["check", "DATA", "--json", "NAME"],
        ["check", "DATA", "--subjects", "NAME"],
        ["make-data", "NAME"],
        ["html", "NAME"],
        ["card", "NAME"],
        ["train", "emotion", "--data", "NAME"],
        ["train", "emotion", "--name", "NAME", "--data", "DATA"],
        ["train", "emotion", "--preset", "NAME"],
    ],
)
def test_a_name_of_260_letters_ends_in_one_sentence(words, synthetic, capsys):
    given = {"NAME": "n" * 260, "DATA": str(synthetic)}
    with pytest.raises(SystemExit) as ended:
        main([given.get(word, word) for word in words])
    printed = capsys.readouterr().err if isinstance(ended.value.code, int) else ended.value.code
    last = printed.strip().splitlines()[-1]  # after those of progress
    assert ended.value.code and last.startswith("imigue-lab: ") and "n" * 260 in last
