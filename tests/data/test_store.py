"""The feature store: round trip, freshness, and features of another encoder refused by name."""

import json

import numpy as np
import pytest

from imigue_lab.data.store import Encoding, create_store, find_store, open_features
from imigue_lab.errors import DataError

TINY = Encoding("tiny", "seed 0", "untrained weights")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "0001.mp4"
    path.write_bytes(b"frames")
    return path


@pytest.fixture
def store(tmp_path, index):
    return create_store(str(tmp_path / "store"), index, TINY)


def test_features_are_read_as_they_were_written(store, source):
    context = np.arange(6, dtype=np.float16).reshape(2, 3)
    store.write("0001", {"context": context}, source)
    read = store.read("0001")["context"]
    assert read.dtype == np.float16
    np.testing.assert_array_equal(read, context)


def test_an_array_in_another_order_of_memory_is_read_as_it_was_written(store, source):
    turned = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)
    store.write("0001", {"context": turned}, source)
    np.testing.assert_array_equal(store.read("0001")["context"], turned)


def test_an_item_is_stale_when_its_source_has_changed(store, source):
    assert not store.is_fresh("0001", source)
    store.write("0001", {"context": np.ones((1, 1))}, source)
    assert store.is_fresh("0001", source)
    source.write_bytes(b"other frames")
    assert not store.is_fresh("0001", source)


def test_the_fingerprint_depends_on_weights_and_on_the_note_that_they_are_untrained():
    names = {TINY.name, Encoding("tiny", "seed 1", "untrained weights").name}
    assert len(names | {Encoding("tiny", "seed 0").name}) == 3


def test_features_of_another_encoder_are_refused(store, source, index, tmp_path):
    other = create_store(str(tmp_path / "store"), index, Encoding("tiny", "seed 1"))
    other.write("0001", {"context": np.ones((1, 1))}, source)
    other.path("0001").rename(store.path("0001"))
    with pytest.raises(DataError, match=r"expected features of tiny-.* those of another encoder"):
        store.read("0001")


def test_a_folder_that_describes_another_encoder_is_refused(store, index, tmp_path):
    description = json.loads((store.folder / "encoding.json").read_text())
    (store.folder / "encoding.json").write_text(json.dumps(description | {"recipe": "seed 9"}))
    with pytest.raises(DataError, match="expected the encoder of the folder, tiny-"):
        find_store(str(tmp_path / "store"), index, "tiny")


def test_a_damaged_item_is_refused(store, source):
    store.write("0001", {"context": np.ones((4, 4))}, source)
    store.path("0001").write_bytes(store.path("0001").read_bytes()[:40])
    with pytest.raises(DataError, match=r"0001\.safetensors: damaged .* delete it"):
        store.read("0001")


def test_features_are_found_by_name_and_two_of_the_same_name_by_fingerprint(store, index, tmp_path):
    folder = str(tmp_path / "store")
    assert find_store(folder, index, "tiny").encoding == TINY
    create_store(folder, index, Encoding("tiny", "seed 1"))
    with pytest.raises(DataError, match="several features are named 'tiny'"):
        find_store(folder, index, "tiny")
    assert find_store(folder, index, TINY.name).encoding == TINY


def test_an_unknown_encoder_is_refused_with_the_available_ones(store, index, tmp_path):
    with pytest.raises(DataError, match=rf"no features named 'mvit' \(available: {TINY.name}\)"):
        open_features("mvit", str(tmp_path / "store"), index)


def test_a_video_that_is_not_in_the_store_is_named(store):
    with pytest.raises(DataError, match=r"0002\.safetensors: no such features; extract 0002"):
        store.read("0002")


def test_a_pickle_in_own_features_is_not_executed(plain, index):
    root = plain()
    np.save(root / "context" / "v0.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"v0\.npy: is not an array"):
        open_features(str(root / "context"), "", index).read("v0")
