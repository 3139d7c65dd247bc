"""Keypoint files are parsed once, in parallel, and again when they change."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from imigue_lab.data.keypoint_files.cache import array_path, convert, read_keypoints
from imigue_lab.errors import DataError


@pytest.fixture
def sources(tmp_path):
    """Six keypoint files that contain their own number."""
    paths = [tmp_path / f"{number:04d}.npy" for number in range(6)]
    for number, path in enumerate(paths):
        np.save(path, np.full((4 + number, 5, 3), number, dtype=np.float32))
    return paths


def parse(path):
    """Rejects files named bad, and records its calls."""
    calls.append(path.name)
    if "bad" in path.name:
        raise DataError(f"{path}: row 3 has 105 columns; export it again")
    return np.load(path)


calls: list[str] = []


@pytest.fixture(autouse=True)
def forget():
    calls.clear()


def test_a_file_is_parsed_once(sources):
    for _ in range(2):
        points = read_keypoints(sources[2], parse)
        assert points.shape == (6, 5, 3)
        assert (points == 2).all()
    assert calls == ["0002.npy"]


def test_a_changed_file_is_parsed_again_and_its_old_array_removed(sources):
    old = array_path(sources[0], parse)
    read_keypoints(sources[0], parse)
    np.save(sources[0], np.full((4, 5, 3), 9, dtype=np.float32))
    status = sources[0].stat()
    os.utime(sources[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert (read_keypoints(sources[0], parse) == 9).all()
    assert array_path(sources[0], parse) != old
    assert not old.exists()


def test_each_parser_has_a_separate_array(sources):
    def doubled(path):
        return 2 * np.load(path)

    assert (read_keypoints(sources[1], parse) == 1).all()
    assert (read_keypoints(sources[1], doubled) == 2).all()
    assert (read_keypoints(sources[1], parse) == 1).all()
    assert len(calls) == 1


def test_files_of_the_same_name_in_two_folders_are_cached_separately(sources, tmp_path):
    other = tmp_path / "elsewhere" / "0001.npy"
    other.parent.mkdir()
    np.save(other, np.full((4, 5, 3), 7, dtype=np.float32))
    time = sources[1].stat().st_mtime_ns
    os.utime(other, ns=(time, time))
    for _ in range(2):
        assert (read_keypoints(sources[1], parse) == 1).all()
        assert (read_keypoints(other, parse) == 7).all()
    assert len(calls) == 2


def test_processes_convert_only_new_files(sources):
    read_keypoints(sources[3], np.load)
    untouched = array_path(sources[3], np.load).stat().st_ino
    convert(sources, np.load, jobs=2)
    for number, source in enumerate(sources):
        stored = np.load(array_path(source, np.load))
        np.testing.assert_array_equal(stored, np.load(source))
        assert stored[0, 0, 0] == number
    assert array_path(sources[3], np.load).stat().st_ino == untouched


def test_a_failed_file_is_named_after_the_others_are_converted(sources, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("x")
    with pytest.raises(DataError, match=r"bad\.csv: row 3 has 105 columns"):
        convert([bad, *sources], parse, jobs=1)
    assert all(array_path(source, parse).exists() for source in sources)
    assert not array_path(bad, parse).exists()


def test_an_interrupted_conversion_leaves_only_complete_arrays(sources):
    def killed(path):
        if path == sources[2]:
            raise KeyboardInterrupt
        return np.load(path)

    with pytest.raises(KeyboardInterrupt):
        convert(sources, killed, jobs=1)
    done = [array_path(source, killed).exists() for source in sources]
    assert done == [True, True, False, False, False, False]
    folder = array_path(sources[0], killed).parent
    assert not list(folder.glob(".writing-*"))


SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
from imigue_lab.data.keypoint_files.cache import convert

def slow(path):
    time.sleep(0.1)
    return np.load(path)

if __name__ == "__main__":
    convert(sorted(Path(sys.argv[1]).glob("*.npy")), slow, jobs=2)
"""


def test_a_killed_conversion_leaves_complete_arrays_and_no_process(sources, tmp_path):
    script, home = tmp_path / "script.py", tmp_path / "home"
    script.write_text(SCRIPT)
    for number in range(6, 60):
        np.save(sources[0].with_stem(f"{number:04d}"), np.full((4, 5, 3), number, np.float32))
    checkout = str(Path(__file__).resolve().parents[3])
    environment = os.environ | {"IMIGUE_LAB_HOME": str(home), "PYTHONPATH": checkout}
    words = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as running:
        while not list(home.glob("keypoints/*.npy")) and running.poll() is None:
            time.sleep(0.05)
        workers = psutil.Process(running.pid).children(recursive=True)
        running.kill()
    assert len(workers) >= 2
    assert not psutil.wait_procs(workers, timeout=10)[1]
    done = list(home.glob("keypoints/[!.]*.npy"))
    assert 0 < len(done) < 60
    assert all(np.load(path)[0, 0, 0] == int(path.name[:4]) for path in done)


def test_a_folder_is_one_source_and_is_parsed_again_when_it_changes(tmp_path):
    folder = tmp_path / "0007"
    folder.mkdir()
    (folder / "frame_0.json").write_text("{}")

    def count(path):
        return np.full((len(list(path.iterdir())), 1, 3), 1, dtype=np.float32)

    assert len(read_keypoints(folder, count)) == 1
    (folder / "frame_1.json").write_text("{}")
    assert len(read_keypoints(folder, count)) == 2


def test_missing_keypoints_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.npy: no such keypoints"):
        read_keypoints(tmp_path / "none.npy", parse)
