"""A disk that is really full: a run stops with a sentence and ends with the same numbers."""

import itertools
import shutil
import subprocess
from contextlib import contextmanager

import pandas as pd
import pytest

from imigue_lab.errors import LabError
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.runs import Run


@contextmanager
def small_disk(folder, size):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("mount is not installed")
    if done.returncode:
        pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_run_on_a_full_disk_stops_with_a_sentence_and_resumes_when_there_is_room(
    plain, quick, tmp_path, monkeypatch
):
    root = plain()
    streams = {"context": str(root / "context"), "face": str(root / "face")}
    settings = quick(data=str(root), name="undisturbed", **streams)
    expected = train_emotion(settings)
    stopped = []
    with small_disk(tmp_path / "disk", "2m") as disk:
        monkeypatch.setenv("IMIGUE_LAB_HOME", str(disk))
        for room in itertools.count(0, 8192):
            (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - room))
            try:
                run = train_emotion(settings)
                break
            except LabError as error:
                stopped.append(str(error))
            (disk / "filler").unlink()
        assert all("the disk is full; nothing was changed, free some" in s for s in stopped)
        assert len({*stopped}) > 3  # at different files
        assert run.folder == disk / "runs" / "undisturbed"
        assert not [path for path in disk.rglob("*") if "writing" in path.name]
        for name in ("predictions", "metrics", "scores"):
            ours, theirs = (getattr(Run(own.folder), name)() for own in (run, expected))
            pd.testing.assert_frame_equal(ours, theirs)
