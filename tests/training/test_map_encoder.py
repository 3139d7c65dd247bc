"""The RGB encoder of the gesture model: which runs fit, frozen and fine-tuned."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from einops import rearrange
from torch.testing import assert_close

from imigue_lab.data.skeletons.geometry import picture_places
from imigue_lab.data.source import open_data
from imigue_lab.data.store import EncoderStore
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.inference.windows import AnalyseSettings, open_encoder
from imigue_lab.results.open import open_gesture_run
from imigue_lab.results.published_tables import table_one
from imigue_lab.training.baselines.data import load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import load_baseline, train_baseline
from imigue_lab.training.gestures.map_encoder import encode_maps, open_mapped
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import load_gesture_tokens
from imigue_lab.training.gestures.train import Steps, load_gesture, predict, train_gesture
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.pretraining.train import pretrain
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device
from imigue_lab.views.attention.deletion import delete_tokens
from imigue_lab.views.attention.joint_graph import graph_over_joints, read_graphs
from imigue_lab.views.attention.maps import (
    AttentionSettings,
    load_attentive,
    one_clip,
    read_attention,
    snapshot_at,
)
from imigue_lab.views.attention.over_clip import attention_over_clip, open_attention_player
from imigue_lab.views.footage import clip_pictures
from tests.test_notebooks import ATTENTION, outputs_of, papermill

PROBABILITIES = [f"p{c}" for c in range(32)]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictured(filmed):
    """Settings of the run that sees pictures, 4 frames of 64 x 64 a clip."""
    given = {"data": str(filmed), "model": "mvitv2-s", "frames": 4, "epochs": 1, "batch_size": 8}
    return BaselineSettings.from_arguments(given | {"augment": "mirror", "name": "seen-pictures"})


@pytest.fixture(scope="module")
def tiny(filmed, pictured):
    """Settings on the runs of both encoders, which are trained; keyword arguments change them."""
    train_baseline(pictured)
    for stream in ("joint", "bone"):
        given = {"data": str(filmed), "frames": 8, "epochs": 1, "name": f"seen-{stream}"}
        train_baseline(BaselineSettings.from_arguments({**given, "stream": stream}))
    runs = {"rgb_run": "seen-pictures", "joint_run": "seen-joint", "bone_run": "seen-bone"}

    def settings(**changes):
        small = {"frames": 8, "epochs": 2, "warmup": 1, "ramp": 1, "width": 24, "bank": 2}
        small |= {"top_k": 1, "batch_size": 8, "lr": 1e-3, "data": str(filmed)}
        return GestureSettings.from_arguments({**small, **runs, **changes})

    return settings


@pytest.fixture(scope="module")
def frozen(tiny):
    return load_gesture_tokens(tiny())


@pytest.fixture(scope="module")
def along(tiny):
    return load_gesture_tokens(tiny(finetune_rgb=True))


@pytest.fixture(scope="module")
def tuned(tiny, along):
    return train_gesture(tiny(finetune_rgb=True, name="tuned"), along)


def test_frozen_tokens_are_the_output_of_the_network_on_the_centre_of_the_strip(frozen, pictured):
    net, said = load_baseline(frozen.filmed.run), []
    net.norm.register_forward_hook(lambda module, given, tokens: said.append(tokens))
    data = load_baseline_data(pictured)
    clips = data.clips("test", pictured)
    batch = clips.collate([clips.draws(number)[0] for number in range(3)])
    with torch.no_grad():
        net(*clips.enter(batch))
    maps = rearrange(said[0][:, 1:], "b (t h w) d -> b t h w d", t=2, h=4, w=4)
    for clip_id, own in zip(batch.clip_ids, maps, strict=True):
        assert_close(frozen.rgb[clip_id].float(), own, atol=4e-3, rtol=2e-3)  # float16
    assert frozen.grid(batch.clip_ids[0]) == (2, 4, 4) and frozen.rgb_dim == own.shape[-1]
    assert not frozen.without_rgb and not frozen.unplaced


def test_a_random_start_is_reported_wherever_the_network_counts(frozen, along):
    run = frozen.filmed.run
    (own,) = (r for r in run.provenance()["remarks"] if r.startswith("started from random weights"))
    assert "its paper from those of Kinetics-400: set size=paper and checkpoint" in own
    for data in (frozen, along):
        assert f"{run.folder.name}: {own}" in data.remarks()
    assert any("mvitv2-s, joint, small size, random start" in m for m in table_one([run]).method)
    assert not any("random weights" in r for r in frozen.runs[0].provenance()["remarks"])


def test_tokens_are_encoded_once_and_again_for_changed_pictures_or_other_weights(
    tiny, frozen, filmed, monkeypatch
):
    write, asked = EncoderStore.write, []

    def listen(kept, clip_id, *given):
        asked.append(clip_id)
        write(kept, clip_id, *given)

    monkeypatch.setattr(EncoderStore, "write", listen)
    index = open_data(str(filmed))
    again = encode_maps(frozen.filmed, "", index, CPU)
    assert not asked and all(torch.equal(again[i], frozen.rgb[i]) for i in frozen.rgb)
    clip_id, file = frozen.filmed.source.clips[["clip_id", "file"]].iloc[0]
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    again = encode_maps(replace(frozen.filmed), "", index, CPU)
    assert asked == [clip_id] and torch.equal(again[clip_id], frozen.rgb[clip_id])

    run = frozen.filmed.run
    other = Run(shutil.copytree(run.folder, run.folder.with_name("other-pictures")))
    weights = {name: 0.9 * value for name, value in run.load_weights("best").items()}
    other.save_weights("best", weights, run.read_checkpoint("best"))
    less = load_gesture_tokens(tiny(rgb_run="other-pictures"))
    assert sorted(asked[1:]) == sorted(frozen.rgb)
    assert not torch.equal(less.rgb[clip_id], frozen.rgb[clip_id])
    assert less.identity() != frozen.identity()


def test_the_rgb_encoder_changes_only_when_it_is_fine_tuned(tiny, frozen, along, tuned):
    assert frozen.identity() == along.identity()
    still = train_gesture(tiny(epochs=1), frozen)
    assert not [name for name in still.load_weights("last") if name.startswith("rgb_encoder.")]
    assert still.folder != tuned.folder
    before, after = along.filmed.run.load_weights("best"), tuned.load_weights("last")
    after_rgb = {name: after[f"rgb_encoder.net.{name}"] for name in before}
    moved = {name for name in before if not torch.equal(before[name], after_rgb[name])}
    assert {"conv_proj.weight", "norm.weight", "blocks.0.attn.qkv.weight"} <= moved
    assert not any(name.startswith("head.") for name in moved)  # nothing runs it, nor does it decay
    joint = along.runs[0].load_weights("best")
    assert all(torch.equal(joint[name], after[f"encoder.joint.{name}"]) for name in joint)
    for run, how in ((still, "frozen"), (tuned, "fine-tuned")):
        assert run.provenance()["rgb"] == run.provenance()["where"]["rgb_run"] == "seen-pictures"
        remark = f"rgb tokens are those of the run seen-pictures, {how}"
        assert remark in run.provenance()["remarks"]


def test_it_drops_paths_in_training_and_nothing_afterwards(along, tuned):
    system, batch = load_gesture(tuned, along), along.batch(along.part("train")[:8])
    with torch.no_grad():
        assert torch.equal(*(system.rgb_tokens(batch).values for _ in range(2)))
        torch.manual_seed(0)
        system.train()
        assert not torch.equal(*(system.rgb_tokens(batch).values for _ in range(2)))


@pytest.mark.parametrize("size", [1, 5])
def test_predictions_do_not_depend_on_the_batch_and_come_back_with_the_weights(along, tuned, size):
    kept = tuned.predictions().set_index("clip_id")[PROBABILITIES]
    table = predict(open_device("cpu"), load_gesture(tuned, along), along, "test", size)
    table = table.set_index("clip_id")[PROBABILITIES]
    np.testing.assert_allclose(table, kept.loc[table.index], atol=1e-5)
    assert table.std().max() > 0


def test_a_run_that_was_stopped_ends_with_the_same_numbers(tiny, along, tuned, monkeypatch):
    begin = Steps.begin_epoch

    def stop(self, epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch)

    monkeypatch.setattr(Steps, "begin_epoch", stop)
    settings = tiny(finetune_rgb=True, name="tuned-in-two")
    with pytest.raises(KeyboardInterrupt):
        train_gesture(settings, along)
    monkeypatch.setattr(Steps, "begin_epoch", begin)
    again = train_gesture(settings, along)
    assert (tuned.folder / "metrics.csv").read_bytes() == (
        again.folder / "metrics.csv"
    ).read_bytes()
    a, b = tuned.load_weights("last"), again.load_weights("last")
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    pd.testing.assert_frame_equal(tuned.predictions(), again.predictions(), check_exact=True)


def test_a_clip_without_pictures_uses_pose_alone_and_does_not_affect_other_clips(along, tuned):
    dark = along.part("test").clip_id.iloc[0]
    pictures = along.filmed.source
    left = replace(pictures, clips=pictures.clips[pictures.clips.clip_id != dark])
    data = replace(along.filmed.data, pictures=left)
    less = replace(along, filmed=replace(along.filmed, data=data))
    assert less.without_rgb == [dark] and less.identity() != along.identity()
    assert f"1 clips have no rgb tokens: only pose is used: {dark}" in less.remarks()
    system = load_gesture(tuned, less)
    batch = less.batch(less.part("test")[:4])
    assert system.rgb_tokens(batch).mask.any(dim=1).tolist() == [i != dark for i in batch.clip_ids]
    tables = [
        predict(open_device("cpu"), system, less, "test", n).set_index("clip_id") for n in (1, 4)
    ]
    assert tables[0].based_on[dark] == "pose" and set(tables[0].based_on) == {"pose", "both"}
    np.testing.assert_allclose(tables[0][PROBABILITIES], tables[1][PROBABILITIES], atol=1e-5)
    others = tables[0].drop(dark)[PROBABILITIES]
    kept = tuned.predictions().set_index("clip_id").loc[others.index, PROBABILITIES]
    np.testing.assert_allclose(others, kept, atol=1e-5)


def test_views_open_such_a_run_and_09_refuses_it(tuned, along):
    opened = open_gesture_run("tuned", AttentionSettings())
    assert opened.settings.finetune_rgb and opened.data.identity() == along.identity()
    clip_id = along.part("test").clip_id.iloc[0]
    system = load_attentive(opened)
    seen = read_attention(opened, system, clip_id)
    assert seen.grid == (2, 4, 4) and not np.isnan(seen.places[seen.seen]).any()
    kept = tuned.predictions().set_index("clip_id").loc[clip_id, PROBABILITIES]
    np.testing.assert_allclose(seen.probability, kept.astype(float), atol=1e-5)
    assert delete_tokens(opened, system, [clip_id], draws=1).probability.between(0, 1).all()
    with pytest.raises(RunError, match="'rgb-trained-mvitv2-s', which cannot be extracted from a"):
        open_encoder(tuned, "rgb", AnalyseSettings(), CPU)


def test_a_run_of_another_network_fold_or_data_is_refused(tiny, filmed, frozen, tuned):
    with pytest.raises(RunError, match=r"rgb_run: .* slowonly, .* got 'seen-joint' of 2s-agcn"):
        load_gesture_tokens(tiny(rgb_run="seen-joint"))
    with pytest.raises(RunError, match="nobody: no finished run"):
        load_gesture_tokens(tiny(rgb_run="nobody"))
    gestures = frozen.gestures
    split = gestures.split

    def open_on(split):
        own = replace(gestures, split=split)
        return open_mapped("rgb_run", "seen-pictures", open_data(str(filmed)), own)

    first = split.clips.video_id == split.part("train").video_id.iloc[0]
    held_out = split.clips.assign(split=split.clips.split.where(~first, "validation"))
    with pytest.raises(RunError, match=r"'seen-pictures', of whose .* are held out here or differ"):
        open_on(replace(split, clips=held_out))
    relabelled = replace(split, clips=split.clips.assign(label=split.clips.label[::-1].array))
    with pytest.raises(RunError, match=r"'seen-pictures', of whose .* are held out here or differ"):
        open_on(relabelled)
    with pytest.raises(RunError, match=r"rgb: expected tokens of a published encoder, .*rgb_run"):
        load_gesture_tokens(tiny(rgb_run="", rgb=frozen.encoding.name))
    with pytest.raises(RunError, match=r"rgb_encoder is \{.*, expected None; choose another run"):
        load_gesture(tuned, frozen)
    with pytest.raises(
        SettingsError, match="finetune_rgb: stored tokens have no encoder to fine-tune"
    ):
        GestureSettings.from_arguments({"finetune_rgb": True})


def test_fine_tuning_the_rgb_encoder_is_another_run():
    plain, named = GestureSettings(), GestureSettings(rgb_run="a")
    assert plain.fingerprint("d") == named.fingerprint("d")  # the run is in the digest of the data
    tuned = GestureSettings(rgb_run="a", finetune_rgb=True)
    assert tuned.fingerprint("d") != named.fingerprint("d")


@pytest.fixture(scope="module")
def on_maps(filmed, tiny):
    """A gesture run on the maps of SlowOnly and of PoseConv3D."""
    for model in ("slowonly", "poseconv3d"):
        given = {"model": model, "data": str(filmed), "frames": 4, "epochs": 1, "batch_size": 8}
        given |= {"sampling": "uniform", "test_clips": 2, "name": f"seen-{model}"}
        given |= {"region": "person"} if model == "slowonly" else {}
        train_baseline(BaselineSettings.from_arguments(given))
    runs = {"rgb_run": "seen-slowonly", "pose_run": "seen-poseconv3d"}
    settings = tiny(**runs, joint_run="", bone_run="", epochs=1, name="on-maps")
    return train_gesture(settings), settings


def test_maps_of_heatmaps_are_pose_tokens_with_places_in_the_picture(on_maps, filmed):
    opened = open_gesture_run("on-maps", AttentionSettings())
    data, clip_id = opened.data, opened.data.part("test").clip_id.iloc[0]
    assert data.grid(clip_id) == (4, 2, 2) and data.runs[0].folder.name == "seen-poseconv3d"
    pose, skeleton = data.poses[clip_id], data.poses[clip_id].skeleton.numpy()
    assert pose.tokens.shape[:3] == pose.seen.shape == (1, 2, 16) and pose.seen.all()
    points = skeleton[skeleton[..., 2] > 0][:, :2]
    middle = (points.max(axis=0) + points.min(axis=0)) / 2  # of the box, whose cells are 4 x 4
    spots = picture_places(pose.places[0, 0].double().numpy(), *data.sizes[clip_id])
    np.testing.assert_allclose(spots.mean(axis=0), middle, atol=1)
    reach = 1.25 * (points.max(axis=0) - points.min(axis=0)).max()
    np.testing.assert_allclose(spots.max(axis=0) - spots.min(axis=0), 3 / 4 * reach, atol=1)
    clips, number = data.posed.seen[clip_id]
    net = load_baseline(data.runs[0])
    with torch.no_grad():
        (maps,) = clips.enter(clips.collate(clips.draws(number)))
        logits = net(maps)
    expected = net.head(pose.tokens.float().mean(dim=(0, 1, 2))) + net.prior
    assert_close(expected, logits[0], atol=4e-3, rtol=2e-3)
    assert "pose tokens are cells of the run seen-poseconv3d, frozen" in data.remarks()


def test_views_show_the_cells_and_say_what_they_cannot_show(on_maps):
    opened = open_gesture_run("on-maps", AttentionSettings())
    system, clip_id = load_attentive(opened), opened.data.part("test").clip_id.iloc[0]
    seen = read_attention(opened, system, clip_id)
    width, height = opened.data.sizes[clip_id]
    shot = snapshot_at(seen, (width, height), 0)
    filmed = opened.data.filmed.source
    top, left, high, wide = (n * min(width, height) / filmed.side for n in filmed.boxes[clip_id])
    np.testing.assert_allclose(shot.columns[[0, -1]], [left, left + wide], atol=0.5)
    np.testing.assert_allclose(shot.rows[[0, -1]], [top, top + high], atol=0.5)
    rgb = one_clip(opened, clip_id).rgb.places[0, :4].double().numpy()  # cells of the box
    middles = picture_places(rgb, width, height).mean(axis=0)
    np.testing.assert_allclose(middles, [left + wide / 2, top + high / 2], atol=0.5)
    assert shot.names[:2] == ["row 1, column 1", "row 1, column 2"] and len(shot.names) == 16
    shown = clip_pictures(opened.index, clip_id, seen.grid[0], (width, height))
    figure = attention_over_clip(opened.run, opened.index, seen, shown)
    assert "dots are cells of the heatmaps" in figure.to_json().replace("<br>", " ")
    player = open_attention_player(opened, system, clip_id)
    assert player.attention.of_cells
    kept = on_maps[0].predictions().set_index("clip_id").loc[clip_id, PROBABILITIES]
    np.testing.assert_allclose(seen.probability, kept.astype(float), atol=1e-5)
    assert delete_tokens(opened, system, [clip_id], draws=1).probability.between(0, 1).all()
    assert read_graphs(opened, system, clip_id) == []
    figure = graph_over_joints(opened, clip_id, [])
    assert "No graph of joints: the pose tokens are those of seen-poseconv3d" in str(figure)
    with pytest.raises(
        RunError, match=r"pose tokens of 'pose-trained-poseconv3d-.*; name a run on"
    ):
        open_encoder(on_maps[0], "rgb", AnalyseSettings(), CPU)


def test_notebook_06_shows_the_cells_and_no_graph_of_joints(on_maps, filmed, tmp_path):
    words = ["-p", "data", filmed, "-p", "run", "on-maps"]
    done = papermill(*words, folder=tmp_path, notebook=ATTENTION)
    assert done.exit_code == 0, done.exception
    figures, _ = outputs_of(tmp_path)
    assert len(figures) == 4
    assert "No graph of joints: the pose tokens are those of seen-poseconv3d" in str(figures[-1])


def test_a_run_on_taylor_pictures_sees_taylor_pictures_here_too(filmed, tiny):
    given = {"model": "slowonly", "data": str(filmed), "frames": 4, "epochs": 1, "batch_size": 8}
    asked = BaselineSettings.from_arguments(given | {"pictures": "taylor", "name": "seen-taylor"})
    train_baseline(asked)
    data = load_gesture_tokens(tiny(rgb_run="seen-taylor"))
    assert data.filmed.source.digest == load_baseline_data(asked).pictures.digest
    clips = load_baseline_data(asked).clips("test", asked)
    net, batch = load_baseline(data.filmed.run), clips.collate(clips.draws(0))
    rgb = load_baseline_data(asked.model_copy(update={"pictures": "rgb"})).clips("test", asked)
    with torch.no_grad():
        seen, other = (net.tokens(*own.enter(own.collate(own.draws(0))))[0] for own in (clips, rgb))
    stored = data.rgb[batch.clip_ids[0]].float()
    assert_close(stored, seen, atol=4e-3, rtol=2e-3)  # float16
    assert not torch.allclose(stored, other, atol=4e-2)
    along = load_gesture_tokens(tiny(rgb_run="seen-taylor", finetune_rgb=True))
    assert along.filmed.source.digest == data.filmed.source.digest


@pytest.fixture(scope="module")
def on_masked(filmed, tiny):
    """A gesture run on the tokens of VideoMAE and of MAMP."""
    for model, frames in (("videomae-s", 4), ("mamp", 8)):
        given = {"model": model, "data": str(filmed), "frames": frames, "epochs": 1}
        given |= {"batch_size": 8, "name": f"seen-{model}"}
        train_baseline(BaselineSettings.from_arguments(given))
    runs = {"rgb_run": "seen-videomae-s", "pose_run": "seen-mamp"}
    settings = tiny(**runs, joint_run="", bone_run="", epochs=1, name="on-masked")
    return train_gesture(settings)


def test_tokens_of_masked_networks_are_those_before_the_head_at_the_same_places(on_masked, frozen):
    opened = open_gesture_run("on-masked", AttentionSettings())
    data, clip_id = opened.data, opened.data.part("test").clip_id.iloc[0]
    pose, of_graph = data.poses[clip_id], frozen.poses[clip_id]
    assert torch.equal(pose.places, of_graph.places) and torch.equal(pose.seen, of_graph.seen)
    assert data.pose_names == frozen.pose_names and pose.tokens.shape[:3] == pose.seen.shape
    clips, number = data.posed.seen[clip_id]
    net = load_baseline(data.posed.run)
    with torch.no_grad():
        logits = net(*clips.enter(clips.collate(clips.draws(number))))
    joints = pose.tokens.float().mean(dim=(0, 1)).flatten()
    assert_close(net.head(joints[None]) + net.prior, logits, atol=4e-3, rtol=2e-3)
    assert data.grid(clip_id) == (2, 4, 4)
    net = load_baseline(data.filmed.run)
    with torch.no_grad():
        expected = net.head(data.rgb[clip_id].float().mean(dim=(0, 1, 2))) + net.prior
        clips, number = data.filmed.seen[clip_id]
        logits = net(*clips.enter(clips.collate(clips.draws(number))))
    assert_close(expected[None], logits, atol=4e-3, rtol=2e-3)


def test_views_show_their_joints_and_remarks_their_random_starts(on_masked):
    opened = open_gesture_run("on-masked", AttentionSettings())
    system, clip_id = load_attentive(opened), opened.data.part("test").clip_id.iloc[0]
    seen = read_attention(opened, system, clip_id)
    assert not seen.of_cells and seen.grid == (2, 4, 4)
    kept = on_masked.predictions().set_index("clip_id").loc[clip_id, PROBABILITIES]
    np.testing.assert_allclose(seen.probability, kept.astype(float), atol=1e-5)
    assert delete_tokens(opened, system, [clip_id], draws=1).probability.between(0, 1).all()
    remarks = on_masked.provenance()["remarks"]
    assert "pose tokens are joints of the run seen-mamp, frozen" in remarks
    for model in ("videomae-s", "mamp"):
        start = f"seen-{model}: started from random weights, its paper from those of masked"
        assert any(remark.startswith(start) for remark in remarks)


def test_a_pre_training_run_is_no_encoder_by_itself(tiny, filmed):
    given = {"data": str(filmed), "epochs": 1, "frames": 8, "windows": 0.0, "probe": False}
    pretrain(PretrainSettings.from_arguments(given | {"name": "pretrained-alone"}))
    runs = {"pose_run": "pretrained-alone", "joint_run": "", "bone_run": ""}
    with pytest.raises(RunError, match=r"poseconv3d, mamp, got 'pretrained-alone' of pretraining;"):
        load_gesture_tokens(tiny(**runs))


def test_a_pose_run_that_does_not_fit_is_refused(on_maps, tiny, frozen):
    settings = on_maps[1]
    with pytest.raises(RunError, match=r"pose_run: .* mamp, got 'seen-joint' of 2s-agcn"):
        load_gesture_tokens(settings.model_copy(update={"pose_run": "seen-joint"}))
    sources = frozen.gestures.sources
    first = sources.video_id == sources.video_id[sources.split == "train"].iloc[0]
    shifted = sources.assign(split=sources.split.where(~first, "validation"))
    with pytest.raises(RunError, match=r"pose_run: .* run 'seen-poseconv3d', of whose"):
        own = replace(frozen.gestures, sources=shifted)
        open_mapped("pose_run", "seen-poseconv3d", open_data(settings.data), own)
    with pytest.raises(RunError, match="finetune_rgb: seen-slowonly sees the person's box"):
        load_gesture_tokens(settings.model_copy(update={"finetune_rgb": True}))
    for given in ({"finetune": True}, {"joint_run": "seen-joint"}):
        with pytest.raises(SettingsError, match=r"pose_run: its tokens are used frozen and alone"):
            GestureSettings.from_arguments({"pose_run": "seen-poseconv3d", **given})
    with pytest.raises(RunError, match="pose_tokens is 'pose-trained-poseconv3d-"):
        load_gesture(
            on_maps[0],
            replace(
                frozen, encoding=open_gesture_run("on-maps", AttentionSettings()).data.encoding
            ),
        )
