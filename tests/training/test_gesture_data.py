"""From any tree to batches: joined by id, normalised to the body, omissions reported."""

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.data.clips import collate
from imigue_lab.data.keypoint_files.tables import layout_of_file, read_recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.source import open_data
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data, to_openpose, write_spreadsheet
from imigue_lab.errors import DataError, SettingsError
from imigue_lab.training.baselines.clips import How, training_batches
from imigue_lab.training.baselines.data import load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.ranks import ALONE, Ranks

IMIGUE = LAYOUTS["imigue22"]


@pytest.fixture(scope="module")
def data(synthetic):
    return load_gesture_data(open_data(str(synthetic)))


@pytest.fixture
def own_tree(tmp_path):
    """Writes a plain tree of 12 videos of three clips; returns its root."""

    def write(joints=22, frames=30, **changed):
        rng = np.random.default_rng(0)
        (tmp_path / "keypoints").mkdir(exist_ok=True)
        videos, clips = [], []
        for number in range(12):
            split = ["train", "train", "validation", "test"][number % 4]
            videos.append((f"v{number}", split, f"s{number}"))
            points = rng.uniform(1, 9, (frames, joints, 3)).astype(np.float32)
            points[..., 2] = 0.9
            np.save(tmp_path / "keypoints" / f"v{number}.npy", changed.get(f"v{number}", points))
            clips += [(f"v{number}_{n}", f"v{number}", 10 * n, 10 * n + 9, n + 1) for n in range(3)]
        columns = ["video_id", "split", "subject"]
        pd.DataFrame(videos, columns=columns).to_csv(tmp_path / "videos.csv", index=False)
        columns = ["clip_id", "video_id", "start", "end", "class"]
        pd.DataFrame(clips, columns=columns).to_csv(tmp_path / "clips.csv", index=False)
        return tmp_path

    return write


def test_each_clip_has_the_frames_and_the_label_of_its_id(data, index):
    clips = data.clips("train", 0, ["joint"])
    assert data.layout is IMIGUE and len(clips) == (index.clips.split == "train").sum()
    rows = index.clips.set_index("clip_id")
    for number in (0, 7, len(clips) - 1):
        clip = clips[number]
        row = rows.loc[clip.clip_id]
        assert clip.skeleton.shape == (1, row.end - row.start + 1, 22, 3)
        assert clip.label == row.label
    assert data.clips("train", 64, ["joint", "bone"])[0].skeleton.shape == (1, 64, 22, 6)


def test_layouts_with_a_file_a_clip_give_the_same_skeletons(tmp_path):
    spec = {"videos": 4, "pictures": False, "seed": 3}
    whole = make_data(tmp_path / "whole", SyntheticSpec(layout="miga2023", **spec))
    single = make_data(tmp_path / "single", SyntheticSpec(layout="full", **spec))
    assert single.clips.keypoints.notna().all() and whole.clips.keypoints.isna().all()
    first, second = (
        load_gesture_data(open_data(str(index.root)), keypoints="imigue22")
        for index in (whole, single)
    )
    a, b = (d.clips("train", 16, ["joint"]) for d in (first, second))
    by_id = {clip.clip_id: clip for clip in (b[n] for n in range(len(b)))}
    for number in range(5):
        assert torch.equal(a[number].skeleton, by_id[a[number].clip_id].skeleton)


@pytest.mark.parametrize(
    ("joints", "keypoints", "used"),
    [
        (137, "auto", "mmgesture36"),
        (137, "imigue22", "imigue22"),
        (137, "openpose137", "openpose137"),
        (36, "auto", "mmgesture36"),
        (35, "auto", "imigue22"),
        (35, "light_hand35", "light_hand35"),
        (17, "auto", "coco17"),
    ],
)
def test_the_layout_is_the_richest_in_the_files_or_the_one_asked_for(
    own_tree, joints, keypoints, used
):
    root = own_tree(joints)
    data = load_gesture_data(open_data(str(root)), keypoints=keypoints)
    assert data.layout.name == used == data.identity()["keypoints"]
    carried = layout_of_file(root / "a.npy", (1, joints, 3)).joints
    own = [carried.index(joint) for joint in data.layout.joints]
    clips = data.skeletons("train", 0)
    video = clips.clip_ids[0].split("_")[0]
    points = np.load(root / "keypoints" / f"{video}.npy")[:10, own]
    assert torch.equal(clips[0].skeleton[0], torch.from_numpy(points))


def test_a_layout_that_the_files_do_not_contain_is_refused_in_a_sentence(own_tree):
    root = str(own_tree(35))
    complaint = r"expected the joints of mmgesture36, got files of light_hand35 .* lack right_jaw_2"
    with pytest.raises(DataError, match=complaint):
        load_gesture_data(open_data(root), keypoints="mmgesture36")
    with pytest.raises(
        SettingsError, match=r"keypoints: expected auto, all or one of .*, got 'face'"
    ):
        load_gesture_data(open_data(root), keypoints="face")


def test_the_larger_of_two_files_of_a_video_is_read_where_every_video_has_it(tmp_path):
    spec = SyntheticSpec(videos=4, pictures=False, layout="miga2023")
    root = make_data(tmp_path / "both", spec).root
    small = load_gesture_data(open_data(str(root)))
    for path in root.rglob("*_light_hand.csv"):
        points = to_openpose(read_recording(path).skeleton[0])
        name = path.name.replace("light_hand.csv", "openpose.xlsx")
        write_spreadsheet(path.with_name(name), points.reshape(len(points), -1))
    large = load_gesture_data(open_data(str(root)))
    assert small.layout.name == "imigue22" and large.layout.name == "mmgesture36"
    assert (
        load_gesture_data(open_data(str(root)), keypoints="imigue22").identity() == small.identity()
    )
    next(root.rglob("*_openpose.xlsx")).unlink()
    assert load_gesture_data(open_data(str(root))).identity() == small.identity()
    with pytest.raises(DataError, match="got files of light_hand35"):
        load_gesture_data(open_data(str(root)), keypoints="mmgesture36")


def test_face_joints_train_a_graph_network(own_tree):
    given = {"data": str(own_tree(137)), "epochs": 1, "frames": 8, "device": "cpu"}
    run = train_baseline(BaselineSettings.from_arguments(given))
    found = run.read_checkpoint("best")
    assert found["keypoints"] == found["arguments"]["keypoints"] == "mmgesture36"


def test_limbs_of_face_and_hands_are_the_channels_of_networks_of_heatmaps(own_tree):
    given = {"data": str(own_tree(137)), "model": "poseconv3d", "stream": "bone", "frames": 4}
    settings = BaselineSettings.from_arguments(given)
    data = load_baseline_data(settings)
    clips = data.clips("train", settings)
    (maps,) = inputs = clips.enter(clips.collate(clips.draws(0)))
    assert maps.shape[1] == clips.mirrored(inputs)[0].shape[1] == 36
    for model in ("poseconv3d", "rgbpose-conv3d"):
        own = BaselineSettings(model=model, stream="bone")
        assert data.arguments(own)["joints"] == 36


def test_what_is_changed_at_random_depends_on_seed_epoch_and_clip_alone(data):
    def draw(seed=0, epoch=0, number=3, augment="mirror"):
        clips = data.clips("train", 16, ["joint"], How(augment, seed))
        clips.epoch = epoch
        return clips[number].skeleton

    assert torch.equal(draw(), draw())
    assert not torch.equal(draw(), draw(epoch=1))
    assert not torch.equal(draw(), draw(seed=1))
    assert torch.equal(draw(augment="none"), draw(augment="none", epoch=5))


def test_missing_joints_stay_missing_whatever_is_changed(own_tree):
    points = np.full((30, 22, 3), 0.9, np.float32) * np.arange(1, 23, dtype=np.float32)[:, None]
    points[..., 2] = 0.9
    points[5:8, 4] = 0
    data = load_gesture_data(open_data(str(own_tree(v0=points))))
    for names in (["joint"], ["bone"]):
        clip = data.clips("train", 0, names, How("turn"))[0]
        gone = (clip.skeleton[0, 5:8, 4] == 0).all()
        assert clip.clip_id == "v0_0" and gone and clip.skeleton[0, :5, 4].all()


def test_the_same_epoch_gives_the_same_batches_and_every_clip_comes_once_in_order(data):
    clips = data.clips("train", 0, ["bone"], How("turn", seed=5))
    loader = training_batches(clips, 8, seed=5, balance=0.5)
    first, again = ([batch for ((batch, _),) in loader.steps(2)] for _ in range(2))
    assert [b.clip_ids for b in first] == [b.clip_ids for b in again]
    assert all(torch.equal(a.inputs[0], b.inputs[0]) for a, b in zip(first, again, strict=True))
    assert len(first) == len(loader)
    numbers = [n for batch in ALONE.batches_by_length(clips.lengths, 8) for n in batch]
    assert sorted(numbers) == list(range(len(clips)))
    assert [clips.lengths[n] for n in numbers] == sorted(clips.lengths)


def test_an_oversampled_clip_differs_from_draw_to_draw_however_a_step_is_divided(own_tree):
    root = own_tree()
    table = pd.read_csv(root / "clips.csv")
    table["class"] = np.where(table.clip_id.isin(["v0_0", "v2_0"]), 2, 1)
    table.to_csv(root / "clips.csv", index=False)
    clips = load_gesture_data(open_data(str(root))).clips(
        "train", 0, ["joint"], How("turn", seed=5)
    )

    def drawn(*shares):
        found = []
        for ranks in shares:
            for pieces in training_batches(clips, 5, seed=5, balance=1.0).steps(2, ranks):
                for batch, _ in pieces:
                    found += zip(batch.clip_ids, batch.inputs[0], strict=True)
        return sorted((clip_id, skeleton.numpy().tobytes()) for clip_id, skeleton in found)

    whole = drawn(ALONE)
    rare = [skeleton for clip_id, skeleton in whole if clip_id == "v0_0"]
    assert len(rare) == 9 == len(set(rare))
    assert drawn(Ranks(0, 2, 3), Ranks(1, 2, 3)) == whole


def test_the_digest_identifies_data_independent_of_their_location(own_tree, tmp_path):
    root = own_tree()
    first = load_gesture_data(open_data(str(root))).identity()
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    root.rename(moved)
    assert load_gesture_data(open_data(str(moved))).identity() == first
    path = moved / "keypoints" / "v3.npy"
    points = np.load(path)
    points[12, 4, 0] += 1
    np.save(path, points)
    assert load_gesture_data(open_data(str(moved))).identity() != first


def test_clips_without_joints_or_file_are_counted_and_named(own_tree):
    blank = np.zeros((30, 22, 3), np.float32)
    root = own_tree(v0=blank, v3=blank)
    (root / "keypoints" / "v5.npy").unlink()
    data = load_gesture_data(open_data(str(root)))
    remarks = "\n".join(data.remarks())
    assert "3 clips have no keypoints and are left out: v5_0, v5_1, v5_2" in remarks
    assert "3 clips of train have no visible joint and are left out: v0_0, v0_1, v0_2" in remarks
    assert (
        "3 clips have no visible joint and are predicted nevertheless: v3_0, v3_1, v3_2" in remarks
    )
    assert len(data.clips("train", 8, ["joint"])) == 6 * 3 - 6
    assert len(data.clips("test", 8, ["joint"])) == 9


def test_joints_in_space_and_several_persons_go_the_same_way(own_tree):
    rng = np.random.default_rng(1)
    two = rng.normal(size=(2, 30, 20, 3)).astype(np.float32)
    root = own_tree(joints=20, v4=two)
    (root / "keypoints.json").write_text('{"layout": "kinect20"}')
    data = load_gesture_data(open_data(str(root)))
    assert data.layout.name == "kinect20" and data.persons == 2
    clips = data.clips("train", 8, ["bone"], How("turn"))
    batch = collate([clips[n] for n in range(len(clips))])
    assert batch.skeleton.shape[1:] == (2, 8, 20, 3) and batch.skeleton.isfinite().all()


def test_files_of_two_layouts_are_refused_by_name(own_tree):
    root = own_tree(v1=np.ones((30, 17, 3), np.float32))
    complaint = r"v1\.npy: expected 22 joints of imigue22 as in .*v0\.npy, got 17 of coco17"
    with pytest.raises(DataError, match=complaint):
        load_gesture_data(open_data(str(root)))
    root = own_tree(v1=np.ones((30, 22, 4), np.float32))
    with pytest.raises(DataError, match=r"v1\.npy: expected .*, got \(30, 22, 4\)"):
        load_gesture_data(open_data(str(root)))


def test_a_tree_without_any_keypoints_is_refused(own_tree):
    root = own_tree()
    for path in (root / "keypoints").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="contains no keypoints of its clips"):
        load_gesture_data(open_data(str(root)))
