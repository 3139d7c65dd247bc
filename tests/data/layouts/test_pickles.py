"""A pyskl pickle as a data root: clips, labels, splits; nothing in a pickle is executed."""

import codecs
import os
import pickle
import tracemalloc

import numpy as np
import pytest

from imigue_lab.data.keypoint_files.clips import read_clip
from imigue_lab.data.layouts.pickles import read_pickle
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.source import open_data
from imigue_lab.errors import DataError
from imigue_lab.training.gesture_clips import load_gesture_data


def annotation(name, label=1, frames=6, joints=17, axes=2, **more):
    points = np.random.default_rng(frames).uniform(10, 200, (1, frames, joints, axes))
    made = {"frame_dir": name, "label": label, "total_frames": frames, "img_shape": (240, 320)}
    scores = {"keypoint_score": np.full((1, frames, joints), 0.5, np.float16)}
    return made | {"keypoint": points.astype(np.float16)} | (scores if axes == 2 else {}) | more


def names(count):
    return [f"S001C001P{n + 1:03}R001A001" for n in range(count)]


@pytest.fixture
def save(tmp_path):
    def write(content, protocol=pickle.DEFAULT_PROTOCOL, name="own.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol))
        return tmp_path / name

    return write


@pytest.mark.parametrize("protocol", range(6))
def test_annotations_become_clips_with_labels_splits_and_subjects(save, protocol, capsys):
    split = {"xsub_train": names(4)[:2], "xsub_val": names(4)[2:], "xview_train": names(4)}
    content = {
        "split": split,
        "annotations": [annotation(n, k + 1) for k, n in enumerate(names(4))],
    }
    path = save(content, protocol)
    for root in (path, path.parent):
        index = read_index(root)
        assert index.videos.split.tolist() == ["train", "train", "validation", "validation"]
        assert index.videos.subject.tolist() == ["001", "002", "003", "004"]
        assert index.clips.end.tolist() == [5] * 4 and index.clips.label.nunique() == 4
    assert "the splits are those of xsub; not used: xview" in capsys.readouterr().out
    clip = read_clip(index, f"{names(4)[1]}_0")
    assert clip.layout.name == "coco17"
    expected = content["annotations"][1]
    np.testing.assert_array_equal(clip.skeleton[..., :2], expected["keypoint"].astype(np.float32))
    assert (clip.skeleton[..., 2] == 0.5).all()
    assert len(load_gesture_data(open_data(str(path))).skeletons("train", 0)) == 2


def test_25_joints_in_space_without_scores_are_ntu25_and_20_are_asked_for(save):
    index = read_index(save([annotation(name, axes=3, joints=25) for name in names(2)]))
    assert read_clip(index, index.clips.clip_id[0]).layout.name == "ntu25"
    assert index.videos.split.tolist() == ["train", "train"]
    kinect = save([annotation(name, axes=3, joints=20) for name in names(2)])
    with pytest.raises(DataError, match="20 joints, which kinect20 and msraction20 have"):
        read_index(kinect)
    (kinect.parent / "keypoints.json").write_text('{"layout": "kinect20"}')
    index = read_index(kinect)
    assert read_clip(index, index.clips.clip_id[0]).layout.name == "kinect20"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"x": 1}, "expected annotations of pyskl, got none"),
        ([], "expected annotations of pyskl"),
        ([3], "annotation 0: expected frame_dir, .*got None"),
        ([annotation("a", raw_file="a.npy")], "got arrays outside"),
        ([annotation("a", total_frames=9)], "label 1, 9 frames"),
        ([annotation("a", label="x")], "label 'x', 6 frames"),
        ([annotation("a"), annotation("a")], "expected one annotation for each id.*got a twice"),
        ([annotation("a"), annotation("b", joints=25)], "got 0 ids without, 2 layouts"),
        ([annotation("a", keypoint=np.ones((6, 17, 2)))], r"got 'a', \(6, 17, 2\)"),
        (
            {"split": {"train": ["a", "b"]}, "annotations": [annotation("a")]},
            "got 1 ids without, 1 layouts",
        ),
    ],
)
def test_another_form_is_refused_in_a_sentence(save, content, sentence):
    with pytest.raises(DataError, match=sentence) as refused:
        read_index(save(content))
    assert "\n" not in str(refused.value)


class Calls:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    "content",
    [
        Calls(os.mkdir, "made"),
        Calls(eval, "1"),
        Calls(codecs.encode, "a", "rot13"),
        Calls(np.ndarray, (3,)),
        np.array([Calls(os.mkdir, "made")], dtype=object),
        np.ones(3).view,
    ],
    ids=lambda content: type(content).__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_calls_anything_is_refused_unexecuted(
    save, content, protocol, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = save([content], protocol)
    with pytest.raises(DataError, match="expected a pickle of lists, dicts and arrays"):
        read_pickle(path)
    assert not (tmp_path / "made").exists()


def test_a_damaged_pickle_is_refused_in_a_sentence(save):
    path = save([annotation("a")])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read"):
        read_pickle(path)


def endless():
    """Lists of 250 bytes whose text has 2**60 numbers."""
    found = [1.0]
    for _ in range(60):
        found = [found, found]
    return found


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("frame_dir", "got a list, "),
        ("label", "label a list, "),
        ("total_frames", "a list frames; "),
        ("keypoint", r"got 'a', \(\), "),
        ("keypoint_score", "got 'a', "),
    ],
)
def test_lists_that_refer_to_one_another_are_refused_by_their_type(save, key, found):
    path = save([annotation("a", **{key: endless()})])
    assert path.stat().st_size < 4000
    with pytest.raises(DataError, match=found):
        read_index(path)


@pytest.mark.parametrize("split", [{"train": [endless()]}, {"train": 5}, {1: ["a"]}, endless()])
def test_a_split_of_anything_but_names_is_refused(save, split):
    with pytest.raises(DataError, match="expected annotations of pyskl, got none"):
        read_index(save({"split": split, "annotations": [annotation("a")]}))


@pytest.mark.parametrize("value", [10**5000, np.arange(3), {}], ids=["long", "array", "dict"])
@pytest.mark.parametrize("key", ["label", "total_frames"])
def test_a_label_or_length_that_is_no_number_of_frames_is_refused(save, key, value):
    with pytest.raises(DataError, match=f"a {type(value).__name__}"):
        read_index(save([annotation("a", **{key: value})]))


def test_a_reference_to_the_billionth_object_takes_no_memory(save):
    path = save([])
    path.write_bytes(b"\x80\x04Nr\xff\xff\xff\x3f.")  # None, remembered as number 2**30
    tracemalloc.start()
    assert read_pickle(path) is None
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
