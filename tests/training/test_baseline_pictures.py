"""Pictures of clips: which frames, how they are kept, and what networks see of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from imigue_lab.data.index import Index, clips_table, videos_table
from imigue_lab.data.skeletons.cropping import crop_places
from imigue_lab.data.splits import split_gestures
from imigue_lab.data.videos.video import write_video
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.errors import DataError
from imigue_lab.training.baselines import strips as picture_strips
from imigue_lab.training.baselines.data import BaselineData
from imigue_lab.training.baselines.pictures import (
    KINETICS,
    ClipPictures,
    PictureClips,
)
from imigue_lab.training.baselines.strips import frame_numbers, open_pictures

BRIGHT = 4  # grey of a frame, a step of its number


@pytest.fixture
def graded(tmp_path, monkeypatch):
    """A video whose frames brighten one by one, a file of one clip, and a clip without either."""
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path / "home"))

    def film(name, frames):
        path = tmp_path / f"{name}.mp4"
        shots = (np.full((48, 64, 3), BRIGHT * number, np.uint8) for number in range(frames))
        write_video(path, shots, fps=25)
        return path

    rows = [
        {"video_id": name, "subject": "s", "split": split, "video": path}
        for name, split, path in (("0001", "train", film("0001", 60)), ("0002", "validation", None))
    ]
    clips = [
        {"clip_id": "0001_0", "video_id": "0001", "start": 10, "end": 49, "label": 3},
        {"clip_id": "0001_1", "video_id": "0001", "start": 50, "end": 51, "label": None},
        {"clip_id": "0002_0", "video_id": "0002", "start": 5, "end": 9, "label": 4},
        {"clip_id": "0002_1", "video_id": "0002", "start": 90, "end": 97, "label": 5},
    ]
    clips[3]["video"] = film("0002_1", 8)
    videos = videos_table(rows)
    return Index(tmp_path, "plain", videos, clips_table(clips, videos, 32))


def levels(pictures, clip_id):
    """The frame numbers that a strip shows, read off its greys."""
    strip = pictures.clips.set_index("clip_id").strip[clip_id]
    return (pictures.read(strip).mean(axis=(1, 2, 3)) / BRIGHT).round().astype(int).tolist()


def test_strips_hold_the_centres_of_equal_segments_of_each_clip(graded):
    pictures = open_pictures(graded, graded.clips, segments=4, beside=0, crop=28)
    assert pictures.side == 32
    assert levels(pictures, "0001_0") == [15, 25, 35, 45]
    assert levels(pictures, "0001_1") == [50, 50, 51, 51]
    assert levels(pictures, "0002_1") == [1, 3, 5, 7]  # counted within its own file
    assert set(pictures.clips.clip_id) == {"0001_0", "0001_1", "0002_1"}
    assert pictures.notes == ["1 clips have no picture and are left out: 0002_0"]


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 110), (70, 70)])
def test_a_spot_lies_in_the_middle_of_a_strip_where_joints_of_its_place_lie(
    graded, tmp_path, width, height
):
    x, y = width // 2 + 15, height // 2 - 11
    shot = np.zeros((height, width, 3), np.uint8)
    shot[y - 4 : y + 5, x - 4 : x + 5] = 255
    path = tmp_path / "spot.mp4"
    write_video(path, [shot] * 8, fps=25, quality=1)
    clips = graded.clips.assign(video=path, start=0, end=7, split=["train", "validation"] * 2)
    pictures = open_pictures(graded, clips, segments=2, beside=0, crop=28)
    seen = pictures.middle(pictures.clips.strip.iloc[0], 28)[1, 1].double()
    along = torch.arange(28, dtype=torch.float64) + 0.5
    middle = [seen.sum(dim=axis) @ along / seen.sum() / 28 for axis in (0, 1)]
    spot = crop_places(np.array([x + 0.5, y + 0.5]), width, height)
    np.testing.assert_allclose(middle, spot, atol=0.025)  # of 28 pixels, two thirds of one


def test_neighbours_of_a_centre_stay_within_the_clip():
    assert frame_numbers((10, 49), 2, beside=1) == [19, 20, 21, 39, 40, 41]
    assert frame_numbers((5, 6), 2, beside=1) == [5, 5, 6, 5, 6, 6]


def test_strips_are_made_once_and_again_when_their_source_has_changed(graded, capsys, monkeypatch):
    first = open_pictures(graded, graded.clips, 4, 0, 28)
    assert "pictures of 3 clips, 4 frames of 32 px" in capsys.readouterr().out

    class Closed:
        def __init__(self, *_, **__):
            raise AssertionError("a video was opened again")

    opened = picture_strips.Video
    monkeypatch.setattr(picture_strips, "Video", Closed)
    again = open_pictures(graded, graded.clips, 4, 0, 28)
    assert capsys.readouterr().out == "" and again.digest == first.digest
    monkeypatch.setattr(picture_strips, "Video", opened)
    shots = (np.full((48, 64, 3), BRIGHT * (60 - number), np.uint8) for number in range(60))
    write_video(graded.videos.video[0], shots, fps=25)
    other = open_pictures(graded, graded.clips, 4, 0, 28)
    assert levels(other, "0001_0") == [60 - 15, 60 - 25, 60 - 35, 60 - 45]
    assert "pictures of 2 clips" in capsys.readouterr().out
    assert other.digest != first.digest


def test_a_range_past_the_end_and_a_tree_without_videos_are_refused(graded):
    late = graded.clips.assign(end=graded.clips.end + 30)
    with pytest.raises(DataError, match=r"0001.mp4: expected frame \d+, got 60 frames"):
        open_pictures(graded, late, 4, 0, 28)
    bare = graded.clips[graded.clips.clip_id == "0002_0"]
    with pytest.raises(DataError, match="no video of the clips of train and validation; copy them"):
        open_pictures(graded, bare, 4, 0, 28)


def test_the_same_files_elsewhere_are_the_same_data(graded, tmp_path):
    here = open_pictures(graded, graded.clips, 4, 0, 28)
    moved = tmp_path / "elsewhere"
    moved.mkdir()

    def move(path):
        return None if path is None else Path(shutil.copy(path, moved))

    videos, clips = (t.assign(video=t.video.map(move)) for t in (graded.videos, graded.clips))
    there = open_pictures(replace(graded, root=moved, videos=videos, clips=clips), clips, 4, 0, 28)
    assert there.digest == here.digest
    relabelled = clips.assign(label=clips.label.fillna(7))
    assert open_pictures(graded, relabelled, 4, 0, 28).digest != here.digest
    own = Vocabulary("own", *[tuple(map(str, range(32)))] * 2, ("",) * 32)
    named = (split_gestures(replace(graded, vocabulary=v), -1, 0) for v in (own, graded.vocabulary))
    one, other = (BaselineData(split, pictures=here) for split in named)
    assert one.identity() != other.identity()  # the same clips of classes with other names


@pytest.fixture
def halves(tmp_path):
    """One clip whose left half is dark red and whose right half is bright."""
    strip = np.zeros((2 * 32, 32, 3), np.uint8)
    strip[:, :16, 0], strip[:, 16:] = 60, 220
    path = tmp_path / "clip.jpg"
    Image.fromarray(strip).save(path, "jpeg", quality=95, subsampling=0)
    rows = [("a", "train", 2, path), ("b", "train", pd.NA, path), ("c", "test", 1, path)]
    clips = pd.DataFrame(rows, columns=["clip_id", "split", "label", "strip"])
    pictures = ClipPictures(clips.astype({"label": "Int64"}), 32, [])

    def seen(augment="none", stacked=False):
        return PictureClips(pictures, "train", 28, stacked, KINETICS, augment, seed=0)

    return seen


def test_the_middle_is_seen_normalised_in_either_order_of_axes(halves):
    clips = halves()
    assert clips.labels == [2, -1] and len(clips) == 2
    batch = clips.collate([clips.draws(0)[0], clips.draws(1)[0]])
    (x,) = clips.enter(batch)
    assert x.shape == (2, 3, 2, 28, 28) and batch.clip_ids == ["a", "b"]
    assert x[0, 0, 0, 14, 2].item() == pytest.approx((60 / 255 - 0.45) / 0.225, abs=0.1)
    assert x[0, 1, 0, 14, 25].item() == pytest.approx((220 / 255 - 0.45) / 0.225, abs=0.1)
    (stacked,) = halves(stacked=True).enter(batch)
    assert_close(stacked, torch.cat([x[:, :, 0], x[:, :, 1]], dim=1))


def test_augmented_clips_move_with_the_epoch_and_some_are_mirrored(halves):
    clips = halves("mirror")
    bright_left, borders = [], set()
    for clips.epoch in range(24):
        frames = clips.draws(0)[0].frames
        assert torch.equal(frames, clips.draws(0)[0].frames)
        assert (frames[0].float() - frames[1].float()).abs().max() < 12  # all frames move alike
        bright = (frames[0, 1, 14] > 140).int()
        bright_left.append(bool(bright[0]))
        borders.add(int(bright.diff().abs().argmax()))
    assert 4 < sum(bright_left) < 20 and len(borders) > 2
    drawn = {clips.draws(0, n)[0].frames.numpy().tobytes() for n in range(8)}
    assert len(drawn) > 4  # several draws of an epoch differ as well
    turned = halves("turn")
    for turned.epoch in range(8):
        assert not turned.draws(0)[0].frames[0, 1, 14, 0] > 140
