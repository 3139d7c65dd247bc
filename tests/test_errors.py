"""A file that may not be read is said to be so; its content is not blamed."""

import builtins
import errno
import io
import os

import av
import pytest

from imigue_lab.app import main
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
from imigue_lab.errors import PERMISSION, LabError
from imigue_lab.features.poses import read_user_recording
from imigue_lab.training.baselines.start import identity_of_start
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
