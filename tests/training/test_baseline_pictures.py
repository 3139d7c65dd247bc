"""Pictures of clips: which frames, how they are kept, and what networks see of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close
from torchvision.models.optical_flow import raft_small

from imigue_lab.data.index import Index, clips_table, videos_table
from imigue_lab.data.skeletons.geometry import crop_places
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.splits import split_gestures
from imigue_lab.data.videos.video import write_video
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.errors import DataError, SettingsError
from imigue_lab.training.baselines import frames as stored_frames
from imigue_lab.training.baselines.clips import How, Sampled
from imigue_lab.training.baselines.data import BaselineData, around_persons
from imigue_lab.training.baselines.frames import (
    flow_pictures,
    load_raft,
    open_pictures,
    raft_flow,
    write_frames,
)
from imigue_lab.training.baselines.pictures import (
    ClipPictures,
    PictureClips,
    StoredClip,
)
from imigue_lab.training.baselines.settings import BaselineSettings

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


def levels(pictures, clip_id, numbers=None):
    """The frame numbers that a stored clip shows, read off its greys."""
    with StoredClip(pictures.clips.set_index("clip_id").file[clip_id]) as stored:
        frames = stored.frames(range(len(stored)) if numbers is None else numbers)
    return (frames.float().mean(dim=(1, 2, 3)) / BRIGHT).round().int().tolist()


def test_every_frame_of_each_clip_is_stored_in_its_shape(graded):
    pictures = open_pictures(graded, graded.clips, crop=28)
    assert pictures.side == 32
    assert levels(pictures, "0001_0") == [*range(10, 50)]
    assert levels(pictures, "0001_0", [3, 3, 1]) == [13, 13, 11]
    assert levels(pictures, "0001_1") == [50, 51]
    assert levels(pictures, "0002_1") == [*range(8)]  # counted within its own file
    with StoredClip(pictures.clips.file[0]) as stored:
        assert stored.frames([0]).shape == (1, 3, 32, 43)
    assert set(pictures.clips.clip_id) == {"0001_0", "0001_1", "0002_1"}
    assert pictures.notes == ["1 clips have no picture and are left out: 0002_0"]


def test_of_a_long_clip_evenly_spaced_frames_are_stored(graded, monkeypatch):
    monkeypatch.setattr(stored_frames, "LONGEST", 4)
    assert levels(open_pictures(graded, graded.clips, 28), "0001_0") == [15, 25, 35, 45]


@pytest.fixture
def drawn(graded):
    """Reads the frame numbers that a network sees of the clip of frames 10 to 49, draw by draw."""
    pictures = open_pictures(graded, graded.clips, 28)

    def frames(epoch=0, ordinal=0, crops=1, model="mvitv2-s", length=4, clip="0001_0", **sampled):
        how = How(sampled=Sampled(length, **sampled) if sampled else None, crops=crops)
        clips = PictureClips(pictures, "train", length, 28, model, how)
        clips.epoch = epoch
        number = clips.clips.clip_id.tolist().index(clip)
        seen = [draw.frames.float().mean(dim=(1, 2, 3)) for draw in clips.draws(number, ordinal)]
        return [(own / BRIGHT).round().int().tolist() for own in seen]

    return frames


def test_centres_of_equal_segments_are_seen_with_neighbours_within_the_clip(drawn):
    assert drawn() == [[15, 25, 35, 45]]
    assert drawn(clip="0001_1") == [[50, 50, 51, 51]]
    assert drawn(length=2, model="dscnet") == [[19, 20, 21, 39, 40, 41]]
    assert drawn(length=2, model="dscnet", clip="0001_1") == [[50, 50, 51, 50, 51, 51]]


def test_frames_are_drawn_anew_in_each_epoch_and_evenly_in_evaluation(drawn):
    epochs = [drawn(epoch=epoch, number=0)[0] for epoch in range(8)]
    assert len({tuple(frames) for frames in epochs}) > 4
    for frames in epochs:
        assert [(frame - 10) // 10 for frame in frames] == [0, 1, 2, 3]  # one of each segment
    assert drawn(epoch=3, number=0) == drawn(epoch=3, number=0)
    assert drawn(epoch=3, number=0, ordinal=1) != drawn(epoch=3, number=0)
    assert drawn(epoch=1, number=2) == drawn(epoch=5, number=2)
    assert len(drawn(number=2)) == 2 and len(drawn(number=2, crops=3)) == 6


def test_a_window_has_frames_at_a_stride_from_a_random_start(drawn):
    starts = set()
    for epoch in range(12):
        (frames,) = drawn(epoch=epoch, number=0, stride=3)
        assert np.diff(frames).tolist() == [3, 3, 3]
        starts.add(frames[0])
    assert len(starts) > 6 and min(starts) >= 10 and max(starts) <= 40
    assert [frames[0] for frames in drawn(number=2, stride=3)] == [10 + 31 // 4, 10 + 3 * 31 // 4]
    assert drawn(number=1, stride=3, clip="0001_1") == [[50, 51, 50, 51]]  # repeated


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 110), (70, 70)])
def test_a_spot_lies_in_the_middle_of_a_frame_where_joints_of_its_place_lie(
    graded, tmp_path, width, height
):
    x, y = width // 2 + 15, height // 2 - 11
    shot = np.zeros((height, width, 3), np.uint8)
    shot[y - 4 : y + 5, x - 4 : x + 5] = 255
    path = tmp_path / "spot.mp4"
    write_video(path, [shot] * 8, fps=25, quality=1)
    clips = graded.clips.assign(video=path, start=0, end=7, split=["train", "validation"] * 2)
    pictures = open_pictures(graded, clips, crop=28)
    seen = PictureClips(pictures, "train", 2, 28, "mvitv2-s", How())
    seen = seen.draws(0)[0].frames[1, 1].double()
    along = torch.arange(28, dtype=torch.float64) + 0.5
    middle = [seen.sum(dim=axis) @ along / seen.sum() / 28 for axis in (0, 1)]
    spot = crop_places(np.array([x + 0.5, y + 0.5]), width, height)
    np.testing.assert_allclose(middle, spot, atol=0.025)  # of 28 pixels, two thirds of one


def test_frames_are_stored_again_when_their_source_has_changed(graded, capsys, monkeypatch):
    first = open_pictures(graded, graded.clips, 28)
    assert "pictures of 3 clips, 32 px high: about 0.0 GB" in capsys.readouterr().out

    class Closed:
        def __init__(self, *_, **__):
            raise AssertionError("a video was opened again")

    opened = stored_frames.Video
    monkeypatch.setattr(stored_frames, "Video", Closed)
    again = open_pictures(graded, graded.clips, 28)
    assert capsys.readouterr().out == "" and again.digest == first.digest
    monkeypatch.setattr(stored_frames, "Video", opened)
    shots = (np.full((48, 64, 3), BRIGHT * (60 - number), np.uint8) for number in range(60))
    write_video(graded.videos.video[0], shots, fps=25)
    other = open_pictures(graded, graded.clips, 28)
    assert levels(other, "0001_0") == [60 - number for number in range(10, 50)]
    assert "pictures of 2 clips" in capsys.readouterr().out
    assert other.digest != first.digest


def test_a_range_past_the_end_and_a_tree_without_videos_are_refused(graded):
    late = graded.clips.assign(end=graded.clips.end + 30)
    with pytest.raises(DataError, match=r"0001.mp4: expected frame \d+, got 60 frames"):
        open_pictures(graded, late, 28)
    bare = graded.clips[graded.clips.clip_id == "0002_0"]
    with pytest.raises(DataError, match="no video of the clips of train and validation; copy them"):
        open_pictures(graded, bare, 28)


def test_the_same_files_elsewhere_are_the_same_data(graded, tmp_path):
    here = open_pictures(graded, graded.clips, 28)
    moved = tmp_path / "elsewhere"
    moved.mkdir()

    def move(path):
        return None if path is None else Path(shutil.copy(path, moved))

    videos, clips = (t.assign(video=t.video.map(move)) for t in (graded.videos, graded.clips))
    there = open_pictures(replace(graded, root=moved, videos=videos, clips=clips), clips, 28)
    assert there.digest == here.digest
    relabelled = clips.assign(label=clips.label.fillna(7))
    assert open_pictures(graded, relabelled, 28).digest != here.digest
    own = Vocabulary("own", *[tuple(map(str, range(32)))] * 2, ("",) * 32)
    named = (split_gestures(replace(graded, vocabulary=v), -1, 0) for v in (own, graded.vocabulary))
    one, other = (BaselineData(split, pictures=here) for split in named)
    assert one.identity() != other.identity()  # the same clips of classes with other names


def test_other_streams_are_computed_or_read_from_a_folder(graded, tmp_path):
    taylor = open_pictures(graded, graded.clips, 28, "taylor")
    with StoredClip(taylor.clips.file[0]) as stored:
        assert len(stored) == 40 - 5
        red, green, blue = stored.frames([9])[0].float().mean(dim=(1, 2))
    assert red > 200 and green < 60 and blue < 60  # brightens at an even speed
    assert taylor.digest != open_pictures(graded, graded.clips, 28).digest
    folder = tmp_path / "depth" / "part"
    folder.mkdir(parents=True)
    write_video(folder / "0001.mp4", [np.full((48, 64, 3), 5 * BRIGHT, np.uint8)] * 60, fps=25)
    write_video(folder / "0002_1.mkv", [np.full((48, 64, 3), 9 * BRIGHT, np.uint8)] * 3, fps=25)
    depth = open_pictures(graded, graded.clips, 28, str(tmp_path / "depth"))
    assert levels(depth, "0001_0") == [5] * 40 and levels(depth, "0002_1") == [9] * 3
    with pytest.raises(DataError, match="expected rgb, taylor, flow, flow:FILE or a folder of"):
        open_pictures(graded, graded.clips, 28, "depht")


def test_flow_shows_where_a_picture_moves_to():
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    frames = np.stack([wide[:, 40 - 4 * n : 120 - 4 * n] for n in range(3)])  # 4 pixels rightwards
    flow = flow_pictures(frames)
    assert flow.shape == frames.shape
    right, down, speed = np.median(flow[:2], axis=(0, 1, 2))
    assert right == pytest.approx(128 + 127 * 4 / 20, abs=4) and down == pytest.approx(128, abs=2)
    assert speed == pytest.approx(right, abs=3)
    assert (flow_pictures(frames[:1]) == 128).all()


def test_flow_by_raft_is_of_the_weights_in_a_file(graded, tmp_path):
    """The untrained network itself, on frames that it takes, gives what is stored."""
    torch.manual_seed(0)
    model = raft_small().eval()
    for name in ("own.pth", "moved.pth"):
        torch.save({"state_dict": model.state_dict()}, tmp_path / name)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 128, 136, 3), dtype=np.uint8)
    pictures = torch.from_numpy(frames).movedim(-1, 1) / 127.5 - 1
    with torch.no_grad():
        known = model(pictures[:2], pictures[1:])[-1].movedim(1, -1).numpy()
    found = np.stack(raft_flow(load_raft(tmp_path / "own.pth"), frames))
    np.testing.assert_allclose(found, known, atol=1e-3)
    assert np.abs(known).max() > 0.1
    (small,) = raft_flow(model, frames[:2, :48, :64])  # resized to 128 x 176, pixels of 48 x 64
    assert small.shape == (48, 64, 2)

    clips = graded.clips.assign(end=graded.clips.start + 2)
    one, other = (
        open_pictures(graded, clips, 28, f"flow:{tmp_path}/{name}")
        for name in ("own.pth", "moved.pth")
    )
    assert one.digest == other.digest != open_pictures(graded, clips, 28, "flow").digest
    with StoredClip(one.clips.file[0]) as stored:
        assert len(stored) == 3
    torch.save({"weight": torch.zeros(2)}, tmp_path / "others.pth")
    with pytest.raises(DataError, match=r"others.pth: not weights of torchvision's RAFT"):
        open_pictures(graded, graded.clips, 28, f"flow:{tmp_path}/others.pth")
    with pytest.raises(DataError, match=r"none.pth: no such file"):
        open_pictures(graded, graded.clips, 28, f"flow:{tmp_path}/none.pth")


@pytest.fixture
def halves(tmp_path):
    """One clip whose left half is dark red and whose right half is bright."""
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    frames[:, :, :16, 0], frames[:, :, 16:] = 60, 220
    path = tmp_path / "clip.zip"
    write_frames(path, frames)
    rows = [("a", "train", 2, path), ("b", "train", pd.NA, path), ("c", "test", 1, path)]
    clips = pd.DataFrame(rows, columns=["clip_id", "split", "label", "file"])
    pictures = ClipPictures(clips.astype({"label": "Int64"}), 32, [])

    def seen(augment="none", model="mvitv2-s", **given):
        return PictureClips(pictures, "train", 2, 28, model, How(augment, **given))

    return seen


def test_the_middle_is_seen_normalised_in_either_order_of_axes(halves):
    clips = halves()
    assert clips.labels == [2, -1] and len(clips) == 2
    batch = clips.collate([clips.draws(0)[0], clips.draws(1)[0]])
    (x,) = clips.enter(batch)
    assert x.shape == (2, 3, 2, 28, 28) and batch.clip_ids == ["a", "b"]
    assert x[0, 0, 0, 14, 2].item() == pytest.approx((60 / 255 - 0.45) / 0.225, abs=0.1)
    assert x[0, 1, 0, 14, 25].item() == pytest.approx((220 / 255 - 0.45) / 0.225, abs=0.1)
    (x,), (stacked,) = (halves(model=model).enter(batch) for model in ("slowonly", "tsm"))
    assert_close(stacked, torch.cat([x[:, :, 0], x[:, :, 1]], dim=1))


def test_distorted_clips_change_with_the_epoch_and_in_all_frames_alike(halves):
    plain, clips = halves("mirror"), halves("mirror", distort=True)
    before, changed = torch.get_rng_state(), []
    for epoch in range(16):
        plain.epoch = clips.epoch = epoch
        frames = clips.draws(0)[0].frames
        assert torch.equal(frames, clips.draws(0)[0].frames) and frames.dtype == torch.uint8
        assert torch.equal(frames[0], frames[1])
        changed.append(not torch.equal(frames, plain.draws(0)[0].frames))
    assert sum(changed) > 8 and torch.equal(torch.get_rng_state(), before)
    assert torch.equal(halves(distort=True).draws(0)[0].frames, halves().draws(0)[0].frames)
    for given in ({"model": "st-gcn"}, {"model": "tsm", "augment": "none"}):
        with pytest.raises(SettingsError, match="distort: expected a network of RGB"):
            BaselineSettings.from_arguments({"augment": "turn", "distort": True, **given})


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({"model": "tsm", "test_crops": 3}, "RGB and 3"),
        ({"model": "poseconv3d"}, "heatmaps and 1"),
        ({"model": "rgbpose-conv3d"}, "RGB and heatmaps and 1"),
        ({"model": "ctr-gcn"}, "skeleton and 1"),
    ],
)
def test_only_a_network_of_pictures_sees_one_person(given, got):
    with pytest.raises(SettingsError, match=f"region: expected a network .*, got {got}; leave it"):
        BaselineSettings.from_arguments({"region": "person", **given})


def test_a_person_of_joints_in_space_has_no_box_in_the_picture(tmp_path, graded, looked):
    pictures = open_pictures(graded, graded.clips, 28)
    gestures = replace(looked.data.gestures, layout=LAYOUTS["ntu25"])
    with pytest.raises(
        DataError, match=r"region: expected joints in a picture .*, got ntu25 in sp"
    ):
        around_persons(pictures, gestures, {})


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
