"""One plan, written in each of the five layouts, gives the same index."""

import re
import zipfile

import av
import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.synthetic.recording import BITS
from imigue_lab.data.synthetic.story import LAYOUTS, SyntheticSpec, plan
from imigue_lab.data.synthetic.tree import make_data

SPEC = {"videos": 8, "seed": 5, "size": "full"}
ALL = set(LAYOUTS)
FILMED = ALL - {"miga2023"}
WHOLE = FILMED - {"miga2026"}  # videos that are not cut into clips

HAVE = {  # table and column -> the layouts that have it; in the others it is null
    "videos": {
        "video_id": ALL,
        "subject": ALL,  # MiGA: by our emotion_labels.csv
        "split": ALL,
        "outcome": ALL,  # MiGA: by our emotion_labels.csv
        "fps": FILMED,
        "width": FILMED,
        "height": FILMED,
        "frames": WHOLE,
        "video": WHOLE,
        "keypoints": {"miga2023", "miga2024", "plain"},
    },
    "clips": {
        "clip_id": ALL,
        "video_id": ALL,
        "subject": ALL,
        "split": ALL,
        "start": ALL,
        "end": ALL,
        "label": ALL,
        "video": {"miga2026"},
        "keypoints": {"full"},
    },
}
PATHS = {"video", "keypoints"}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    return {name: make_data(folder / name, SyntheticSpec(**SPEC, layout=name)) for name in LAYOUTS}


def test_the_table_names_every_column(trees):
    for table, columns in HAVE.items():
        assert list(getattr(trees["full"], table)) == list(columns)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("table", HAVE)
def test_a_layout_gives_the_index_of_the_others_in_the_columns_that_it_has(trees, layout, table):
    own = getattr(trees[layout], table)
    for column, having in HAVE[table].items():
        if layout not in having:
            assert own[column].isna().all(), column
        elif column in PATHS:
            assert all(path.exists() for path in own[column]), column
        else:
            others = getattr(trees[min(having - {layout})], table)
            pd.testing.assert_series_equal(own[column], others[column])
            assert own[column].notna().all()


def test_the_index_is_the_plan(trees):
    planned = [
        (f"{i.video_id}_{row}", i.subject, i.split, g.start, g.end, g.label)
        for i in plan(SyntheticSpec(**SPEC))
        for row, g in enumerate(i.gestures)
    ]
    columns = ["clip_id", "subject", "split", "start", "end", "label"]
    assert list(trees["full"].clips[columns].itertuples(index=False, name=None)) == planned


def test_missing_parts_of_a_layout_are_listed(trees):
    absent = {name: " | ".join(tree.absent) for name, tree in trees.items()}
    assert absent["full"] == absent["miga2024"] == absent["plain"] == ""
    assert "no video file for 0001" in absent["miga2023"]
    assert "no whole videos" in absent["miga2026"]
    assert "no keypoints for 0001" in absent["miga2026"]


def numbers_in(path):
    """The number of every frame, encoded in the bottom rows of its picture by `draw_tiny`."""
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    bits = [p[20:, : 2 * BITS].reshape(4, BITS, 6).mean(axis=(0, 2)) > 127 for p in pictures]
    return [int((row << np.arange(BITS)).sum()) for row in bits]


def test_no_frame_is_lost_or_gained_in_any_layout(trees):
    frames = trees["full"].videos.frames[0]
    assert frames == plan(SyntheticSpec(**SPEC))[0].frames
    assert numbers_in(trees["full"].videos.video[0]) == list(range(frames))
    table = pd.read_csv(trees["miga2024"].videos.keypoints[0])  # the header is not a frame
    assert table.frame.tolist() == list(range(frames))
    assert len(np.load(trees["plain"].videos.keypoints[0])) == frames
    for cut in trees["miga2026"].clips[:5].itertuples():  # the last frame belongs to the clip
        assert numbers_in(cut.video) == list(range(cut.start, cut.end + 1))
    for cut in trees["full"].clips[:5].itertuples():
        assert len(sheet(cut.keypoints)) == cut.end - cut.start + 1


def sheet(path):
    """The numbers of a spreadsheet, by row."""
    text = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml").decode()
    rows = re.findall(r"<row>.*?</row>", text)
    return np.array([[float(v) for v in re.findall(r"<v>(.*?)</v>", row)] for row in rows])


def test_keypoints_are_the_same_in_every_layout(trees):
    table = pd.read_csv(trees["miga2023"].videos.keypoints[2]).to_numpy()[:, 1:]
    points = table.reshape(len(table), 35, 3)
    array = np.load(trees["plain"].videos.keypoints[2])
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, points.astype(np.float32))
    clip = trees["full"].clips.query("video_id == '0003'").iloc[1]
    whole = sheet(clip.keypoints).reshape(-1, 137, 3)
    inside = points[clip.start : clip.end + 1]
    np.testing.assert_array_equal(whole[:, :25], inside[:, :25])
    right_tips, left_tips = [120, 124, 128, 132, 136], [99, 103, 107, 111, 115]
    np.testing.assert_array_equal(whole[:, right_tips], inside[:, 25:30])
    np.testing.assert_array_equal(whole[:, left_tips], inside[:, 30:])
    assert np.count_nonzero(whole[..., 2]) == np.count_nonzero(inside[..., 2])


def test_a_full_tree_without_videos_has_its_splits_from_a_table(tmp_path):
    spec = SyntheticSpec(videos=4, pictures=False, size="full", layout="full")
    index = make_data(tmp_path / "tree", spec)
    assert set(index.clips.split) == {"train", "validation", "test"}
    (tmp_path / "tree" / "splits.csv").unlink()
    index = read_index(tmp_path / "tree")
    assert index.videos.split.isna().all()
    assert any(line.startswith("no known split of 0001, 0002") for line in index.absent)


def test_the_full_size_has_the_numbers_of_imigue():
    interviews = plan(SyntheticSpec(videos=359, size="full"))
    clips = {"train": 0, "validation": 0, "test": 0}
    people = {split: set() for split in clips}
    for interview in interviews:
        clips[interview.split] += len(interview.gestures)
        people[interview.split].add(interview.subject)
        assert interview.gestures[-1].end < interview.frames < 2**12
    assert clips == {"train": 12_893, "validation": 777, "test": 4_562}
    assert {split: len(names) for split, names in people.items()} == {
        "train": 38,
        "validation": 5,
        "test": 29,
    }
    assert len(set.union(*people.values())) == 72
