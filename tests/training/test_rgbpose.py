"""Frames and heatmaps of RGBPose-Conv3D: one region, cropped and mirrored alike."""

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.data.clips import ClipDataset
from imigue_lab.data.skeletons.geometry import person_box
from imigue_lab.data.skeletons.heatmaps import joint_heatmaps
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from imigue_lab.models.baselines import build_baseline
from imigue_lab.training.baselines.clips import How, Sampled, SkeletonClips
from imigue_lab.training.baselines.frames import write_frames
from imigue_lab.training.baselines.heatmaps import HeatmapClips, RgbPoseClips
from imigue_lab.training.baselines.pictures import ClipPictures, PictureClips
from imigue_lab.training.baselines.train import correct_prior, cross_entropy
from tests.models.recordings import read_recording

COCO = LAYOUTS["coco17"]
LEFT, RIGHT = COCO.joints.index("left_wrist"), COCO.joints.index("right_wrist")
WIDTH, HEIGHT, SPOT = 320, 240, (205, 90)


@pytest.fixture
def paired(tmp_path):
    """A clip with a bright spot where the left wrist is, stored at half its size."""
    points = np.zeros((20, 17, 3), np.float32)
    rng = np.random.default_rng(0)
    points[:, :, :2] = np.array([180, 120]) + 60 * rng.uniform(-0.7, 0.7, (17, 2))
    points[:, LEFT, :2] = SPOT
    points[:, :, 2] = 1
    frames = np.zeros((20, HEIGHT // 2, WIDTH // 2, 3), np.uint8)
    x, y = SPOT[0] // 2, SPOT[1] // 2
    frames[:, y - 2 : y + 3, x - 2 : x + 3] = 255
    write_frames(tmp_path / "a.zip", frames)
    table = pd.DataFrame(
        [("a", "train", 3, tmp_path / "a.zip")], columns=["clip_id", "split", "label", "file"]
    )
    clips = pd.DataFrame(
        [("a", "v", 0, 19, 3)], columns=["clip_id", "video_id", "start", "end", "label"]
    )

    def build(augment="none", sizes=(WIDTH, HEIGHT)):
        draws = 0 if augment != "none" else 2
        own = ClipDataset(clips, {"v": points}.__getitem__, frames=0)
        maps = SkeletonClips(own, COCO, ["joint"], How(augment, 0, Sampled(8, draws)))
        stored, how = ClipPictures(table, HEIGHT // 2, []), How(augment, 0, Sampled(2, draws))
        pictures = PictureClips(stored, "train", 2, 64, "rgbpose-conv3d", how)
        heatmaps = HeatmapClips(maps, (16, 16), augment != "none")
        return RgbPoseClips(pictures, heatmaps, {"a": sizes} if sizes else {})

    return build


def peaks(clips, number=0):
    """Where the spot, the left and the right wrist are, as shares of the region."""
    frames, maps = clips.enter(clips.collate([clips.draws(0)[number]]))
    assert frames.shape == (1, 3, 2, 64, 64) and maps.shape == (1, 17, 8, 16, 16)
    lit = frames[0, 0, 0] - frames[0, 0, 0].min()
    places = []
    for seen, least in ((lit, 2), (maps[0, LEFT, 0], 0.5), (maps[0, RIGHT, 0], 0.5)):
        bright = (seen > 0.5 * seen.max()).nonzero().float() + 0.5
        place = bright.mean(dim=0).numpy()[::-1] / np.array(seen.shape)
        places.append(place if seen.max() > least else None)
    return places


def near(one, other):
    return one is not None and other is not None and np.abs(one - other).max() < 1.5 / 16


def test_the_spot_is_where_the_heatmap_of_its_joint_is(paired):
    for number in (0, 1):
        spot, left, right = peaks(paired(), number)
        assert near(spot, left) and not near(spot, right)


def test_the_heatmaps_are_as_wide_as_published(paired):
    clips = paired()
    batch = clips.collate(clips.draws(0)[:1])
    expected = joint_heatmaps(batch.inputs[1], (16, 16), sigma=0.7)
    assert torch.equal(clips.enter(batch)[1], expected)


def test_training_crops_and_mirrors_both_alike(paired):
    clips, places, mirrored = paired("mirror"), set(), []
    for clips.epoch in range(24):
        spot, left, right = peaks(clips)
        if spot is not None and 0.1 < spot[0] < 0.9 and 0.1 < spot[1] < 0.9:
            assert near(spot, left) != near(spot, right)  # the name changes with the side
            mirrored.append(near(spot, right))
            places.add(tuple(spot.round(2)))
    assert 3 < sum(mirrored) < len(mirrored) - 3 and len(places) > 8


def test_joints_in_pictures_of_unknown_size_are_refused(paired):
    with pytest.raises(DataError, match="a: expected the size of the pictures, got joints"):
        paired(sizes=None)


def test_both_outputs_are_trained_and_decide_together():
    torch.manual_seed(0)
    sizes = {"widths": [8, 4], "depths": [[1, 1, 1, 1], [1, 1, 1]]}
    net = build_baseline("rgbpose-conv3d", 5, "coco17", **sizes)
    model = correct_prior(net, {"prior": [0.0, 0.0, 0.0, 0.0, 1.0]})
    inputs = torch.rand(2, 3, 2, 64, 64), torch.rand(2, 17, 8, 16, 16)
    label = torch.tensor([1, 2])
    model.rgb.dropout.p = model.pose.dropout.p = 0.0
    rgb, pose = model(*inputs)
    losses = [torch.nn.functional.cross_entropy(own, label) for own in (rgb, pose)]
    torch.testing.assert_close(cross_entropy(model, inputs, label, 0.0), sum(losses))
    model.eval()
    with torch.no_grad():
        rgb, pose = (path + torch.tensor([0.0, 0, 0, 0, 1]) for path in net.forward(*inputs))
        mean = (rgb.softmax(1) + pose.softmax(1)) / 2
        torch.testing.assert_close(model(*inputs).softmax(1), mean)


def test_rgb_alone_sees_the_box_of_the_person(paired):
    clips = paired()
    box = person_box(clips.maps.clips[0].skeleton.numpy(), (HEIGHT, WIDTH))
    halved = tuple(round(pixels / 2) for pixels in box)
    for augment in ("none", "mirror"):
        own = paired(augment).pictures
        alone = ClipPictures(own.clips, HEIGHT // 2, [], {"a": halved})
        alone = PictureClips(alone, "train", 2, 64, "slowonly", How(augment, 0, own.how.sampled))
        places = set()
        for alone.epoch in range(8):
            frames = alone.draws(0)[0].frames
            assert frames.shape == (2, 3, 64, 64)
            if frames.max() > 100:
                bright = (frames[0, 0] > 0.5 * frames.max()).nonzero().float() + 0.5
                places.add(tuple((bright.mean(dim=0).flip(0) / 64).numpy().round(2).tolist()))
        if augment == "mirror":
            assert len(places) > 4
            continue
        (place,) = places
        top, left, high, wide = box
        expected = (SPOT[0] - left) / wide, (SPOT[1] - top) / high
        np.testing.assert_allclose(place, expected, atol=1 / 32)


@pytest.mark.shared
def test_frames_of_both_modalities_are_those_of_the_published_sampling(shared):
    facts, arrays = read_recording(shared / "fixtures/pretraining", "rgbpose_sampling")
    for case in facts["cases"]:
        frames, clips = case["total_frames"], case["num_clips"]
        rng = np.random.RandomState(case["np_random_seed"] or 0)  # training: one for both
        for name, length in (("rgb", 8), ("pose", 32)):
            sampled = Sampled(length, clips if case["test_mode"] else 0)
            chosen = sampled.choose(frames, rng).ravel()
            np.testing.assert_array_equal(chosen, arrays[f"{case['tag']}_{name}"])
