"""Masked pre-training: runs, resume, probe, held-out interviews, networks that start from it."""

import os
from argparse import Namespace
from dataclasses import replace

import pandas as pd
import pytest
import torch

from imigue_lab.data.skeletons.keypoints import LAYOUTS, body_parts
from imigue_lab.data.source import open_data
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.models.mamp import build_mamp
from imigue_lab.results.fuse import fuse
from imigue_lab.results.published_tables import table_one
from imigue_lab.results.score_tables import show_scores
from imigue_lab.studies.ablations import ablate
from imigue_lab.studies.search import search
from imigue_lab.studies.trials import AblationSettings, SearchSettings
from imigue_lab.training.baselines.pictures import centre
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.start import read_start, take_over
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.leaks import USES_TEST
from imigue_lab.training.loop import EpochBatches
from imigue_lab.training.pretraining.data import load_pretraining_data
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.pretraining.train import load_pretraining, parameter_groups, pretrain
from imigue_lab.training.runs import find_run
from imigue_lab.views.card import write_card
from imigue_lab.views.style import notes_of
from tests.models.published_names import NAMES, published_name
from tests.training.kills import check_kills

TINY = {"epochs": 1, "frames": 8, "batch_size": 64, "windows": 8.0}


def settings_of(synthetic, **given):
    return PretrainSettings.from_arguments({"data": str(synthetic)} | TINY | given)


@pytest.fixture(scope="module")
def motion(synthetic):
    return pretrain(settings_of(synthetic, probe=True, name="motion"))


def test_a_run_scores_windows_and_the_probe_beside_their_baselines(motion, synthetic):
    scores = motion.scores().set_index(["split", "predictor"])
    windows = motion.predictions()
    own = windows[windows.split == "validation"]
    row = scores.loc["validation", "model"]
    assert row.n == len(own) and row.error == pytest.approx(own.error.mean())
    guess = scores.loc["validation", "mean visible token"]
    assert guess.error == pytest.approx(own.guess.mean())
    probes = [name for _, name in scores.index if name.startswith("probe: ")]
    assert len(probes) == 4 and "probe: linear, untrained encoder" in probes
    assert scores.loc["validation", "probe: most frequent class"].top1 < 0.2
    assert set(windows.split) == {"train", "validation"}
    assert {"validation_loss", "probe_accuracy"} <= set(motion.metrics())
    assert "correct" not in show_scores(motion.scores())  # nothing is counted: no empty column


@pytest.mark.parametrize("kind", ["motion", "video"])
def test_a_process_that_is_killed_twice_resumes_to_the_same_numbers(kind, filmed, tmp_path):
    words = f"pretrain {kind} --data {filmed} --store {os.environ['IMIGUE_LAB_HOME']}/features"
    words += " --epochs 4 --frames 8 --windows 2 --probe false --ema 0.9"
    check_kills(words, tmp_path, [("run", 1), ("run", 2)], epochs=4)


def test_windows_cover_whole_interviews_and_no_test_interview(filmed):
    settings = settings_of(filmed, probe=False, windows=1.0)
    data = load_pretraining_data(settings)
    clips, videos = data.windows.split.clips, data.windows.split.clips.groupby("video_id")
    assert "test" not in set(clips.split)
    frames = open_data(str(filmed)).videos.set_index("video_id").frames
    for video_id, own in videos:
        assert own.start.min() == 0
        assert own.end.max() + 1 == frames[video_id]
    with_test = load_pretraining_data(settings_of(filmed, probe=False, windows=1.0, use_test=True))
    assert len(with_test.windows.split.clips) > len(clips)
    assert USES_TEST in with_test.windows.remarks()
    assert set(with_test.recorded) == set(data.recorded)


def test_interviews_without_a_frame_rate_give_their_clips_and_the_run_says_so(motion, filmed):
    said = "videos have no file or frame rate: their labelled clips are the windows"
    remarks = motion.provenance()["remarks"]
    videos = motion.predictions().video_id.nunique()
    assert f"{videos} of {videos} {said}" in remarks
    for seconds in (1.0, 0.0):  # whole interviews, or clips as asked for
        data = load_pretraining_data(settings_of(filmed, probe=False, windows=seconds))
        assert not any(said in remark for remark in data.windows.remarks())


def test_a_fold_keeps_its_subjects_out_of_the_windows(synthetic):
    data = load_pretraining_data(settings_of(synthetic, probe=True, fold=1))
    windows, labelled = data.windows.split.clips, data.labelled.split.clips
    held = set(labelled.subject[labelled.split == "validation"])
    assert held and not held & set(windows.subject[windows.split == "train"])


@pytest.mark.parametrize("kind", ["motion", "video"])
def test_a_killed_run_ends_with_the_same_numbers_also_in_pieces(kind, filmed, monkeypatch):
    given = {"kind": kind, "frames": 8, "epochs": 3, "probe": False, "ema": 0.9, "windows": 2.0}
    given |= {"batch_size": 16, "lr_warmup": 1, "scheduler": "cosine:1e-4", "name": f"{kind}-whole"}
    whole = pretrain(settings_of(filmed, **given))
    real, calls = EpochBatches.steps, []

    def killed(self, epoch, *rest):
        calls.append(epoch)
        if epoch == 2 and calls.count(2) == 1:
            raise KeyboardInterrupt
        yield from real(self, epoch, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("imigue_lab.training.baselines.clips.BatchesAhead.steps", killed)
        again = settings_of(filmed, **given | {"name": f"{kind}-killed"})
        with pytest.raises(KeyboardInterrupt):
            pretrain(again)
        resumed = pretrain(again)
    pd.testing.assert_frame_equal(whole.metrics(), resumed.metrics())
    pd.testing.assert_frame_equal(whole.predictions(), resumed.predictions())
    pieces = pretrain(settings_of(filmed, **given | {"accumulate": 3, "name": f"{kind}-pieces"}))
    pd.testing.assert_frame_equal(whole.metrics(), pieces.metrics(), atol=1e-5)
    half = pretrain(settings_of(filmed, **given | {"precision": "bf16", "name": f"{kind}-bf16"}))
    pd.testing.assert_frame_equal(whole.metrics(), half.metrics(), atol=0.02)
    assert not whole.metrics().train_loss.equals(half.metrics().train_loss)


def test_a_network_starts_from_the_encoder_and_says_so(motion, synthetic):
    given = {
        "data": str(synthetic),
        "model": "mamp",
        "frames": 8,
        "epochs": 1,
        "checkpoint": "motion",
    }
    run = train_baseline(BaselineSettings.from_arguments(given))
    (remark,) = [own for own in run.provenance()["remarks"] if own.startswith("started from")]
    assert "motion (mamp)" in remark and "the head is new (the start has none)" in remark
    assert "not" not in remark


def test_positions_are_resized_in_time_and_follow_the_names_of_joints(motion, synthetic):
    table = motion.load_weights("best")["encoder.time"]
    given = {"data": str(synthetic), "model": "mamp", "frames": 16, "epochs": 1, "name": "longer"}
    longer = train_baseline(BaselineSettings.from_arguments(given | {"checkpoint": "motion"}))
    assert "positions of 2 times are resized to 4" in longer.provenance()["remarks"]
    coco, ours = LAYOUTS["coco17"], LAYOUTS["imigue22"].joints
    start = read_start("longer", "mamp", coco, {"frames": 8})
    assert start.state["encoder.time"].shape == table.shape
    shared = [joint for joint in coco.joints if joint in ours]
    assert 5 < len(shared) < 17
    assert f"positions of {len(shared)} of 17 joints are taken over, by name" in start.remarks
    before = longer.load_weights("best")["encoder.place"][0, 0]
    place = start.state["encoder.place"][0, 0]
    for joint in coco.joints:
        own = place[coco.joints.index(joint)]
        assert (joint in shared) == (joint in ours and own.equal(before[ours.index(joint)]))
    assert "head.0.weight" not in start.state and "head.3.weight" in start.state
    model = build_mamp(32, joints=17, frames=8, width=64, depth=3, heads=4)
    (said, *_) = take_over(model, start, builtin("imigue"))
    assert "the head is new" in said and model.encoder.place[0, 0].equal(place)


def test_positions_of_a_published_file_with_other_joints_are_new(tmp_path):
    state = build_mamp(60, joints=25).state_dict()
    named = {published_name(key, NAMES["mamp"]): weight for key, weight in state.items()}
    torch.save({"model": named, "args": Namespace(lr=1e-3)}, tmp_path / "file.pth")
    path = str(tmp_path / "file.pth")
    start = read_start(path, "mamp", LAYOUTS["imigue22"], {"frames": 32})
    model = build_mamp(32, joints=22, frames=32)
    place = model.encoder.place.clone()
    (said, *more) = take_over(model, start, builtin("imigue"))
    assert "1 are new, of other joints or persons (encoder.place is" in said
    assert model.encoder.place.equal(place)
    assert more == [
        "positions of 30 times are resized to 8",
        "its third channel may be a coordinate, here it is a score",
    ]


def test_a_start_that_saw_a_held_out_interview_is_refused(synthetic):
    pretrain(settings_of(synthetic, probe=False, fold=0, name="fold-0"))
    given = {"data": str(synthetic), "model": "mamp", "frames": 8, "epochs": 1}
    given |= {"checkpoint": "fold-0", "fold": 1}
    with pytest.raises(
        RunError, match="expected weights that have not seen what this run holds out"
    ):
        train_baseline(BaselineSettings.from_arguments(given))


@pytest.fixture(scope="module")
def with_test(synthetic):
    """A network that starts from a pre-training on all interviews, also those of test."""
    settings = settings_of(synthetic, probe=False, use_test=True, name="all-interviews")
    pretrain(settings)
    given = {"data": str(synthetic), "model": "mamp", "frames": 8, "epochs": 1, "name": "from-all"}
    return train_baseline(BaselineSettings.from_arguments(given | {"checkpoint": "all-interviews"}))


def test_every_run_after_a_pre_training_on_test_interviews_says_so(with_test, synthetic):
    given = {"data": str(synthetic), "model": "mamp", "frames": 8, "epochs": 1, "name": "later"}
    later = train_baseline(BaselineSettings.from_arguments(given | {"checkpoint": "from-all"}))
    fused = fuse(["from-all", "later"], name="fused-all")
    first = find_run("all-interviews")
    for run in (first, with_test, later, fused):
        assert any(USES_TEST in note for note in notes_of(run))  # above figures, after training
        if run != first:
            assert USES_TEST in write_card(run).read_text()
    table = table_one([with_test, later], "validation")
    assert table.method.str.contains(USES_TEST).sum() == 2
    for read in (write_card, lambda run: table_one([run])):
        with pytest.raises(RunError, match="expected a run that predicts classes, got a pre-train"):
            read(first)


@pytest.mark.parametrize("start", ["all-interviews", "from-all"])
def test_folds_search_and_ablation_refuse_a_start_that_saw_their_interviews(
    with_test, synthetic, start, tmp_path
):
    videos = open_data(str(synthetic)).videos  # too few subjects for a search: each is one here
    people = tmp_path / "people.csv"
    videos.assign(subject=videos.video_id)[["video_id", "subject"]].to_csv(people, index=False)
    words = f"model:mamp frames:8 epochs:1 checkpoint:{start}"
    given = {"task": "baseline", "data": str(synthetic), "given": words}
    complaint = f"checkpoint: expected weights that have not seen .* got run '{start}'"
    with pytest.raises(RunError, match=complaint):
        ablate(
            AblationSettings.from_arguments(given | {"folds": 2, "seeds": 1, "variants": "mixup"})
        )
    own = f"frames:8 epochs:1 pose_run:from-all subjects:{people}"
    own = {"task": "gesture", "given": own}
    with pytest.raises(RunError, match=r"pose_run: expected .* got run 'from-all'"):
        search(SearchSettings.from_arguments(given | own | {"trials": 1, "folds": 1}))
    fold = dict(word.split(":") for word in words.split()) | {"data": str(synthetic), "fold": 1}
    with pytest.raises(RunError, match=complaint):
        train_baseline(BaselineSettings.from_arguments(fold))


def test_without_validation_the_last_epoch_is_kept_and_train_alone_is_scored(synthetic):
    settings = settings_of(synthetic, probe=False, keep="last", name="all-train")
    data = load_pretraining_data(settings)
    everything = replace(data, windows=data.windows.refitted("validation is a part of train"))
    run = pretrain(settings, everything)
    windows = run.predictions()
    assert set(windows.split) == set(run.scores().split) == {"train"}
    assert len(windows) == len(data.windows.split.clips)


def test_video_is_reconstructed_better_than_by_the_mean_of_what_is_visible(filmed):
    given = {"kind": "video", "frames": 4, "windows": 1.0, "skipped": 0.5, "probe": False}
    run = pretrain(settings_of(filmed, **given, epochs=12, batch_size=8, lr=2e-3))
    scores = run.scores().set_index(["split", "predictor"]).error
    assert scores["validation", "model"] < 0.97 * scores["validation", "mean visible token"]
    model = load_pretraining(run)
    groups = parameter_groups(model, 0.05)
    assert any(own is model.mask_token for own in groups[1]["params"])
    assert all(own.ndim >= 2 for own in groups[0]["params"])


def test_video_has_defaults_of_its_own_and_the_preset_those_of_the_paper():
    own = PretrainSettings.from_arguments({"kind": "video", "lr": 0.01})
    assert (own.frames, own.stride, own.ratio, own.contrast, own.crop) == (8, 4, 0.75, 0.1, False)
    assert own.lr == 0.01 and PretrainSettings().frames == 32 and PretrainSettings().contrast == 0
    paper = PretrainSettings.from_arguments({"kind": "video", "preset": "paper"})
    found = paper.frames, paper.stride, paper.ratio, paper.contrast, paper.crop
    assert found == (16, 4, 0.9, 0.0, True)


def test_windows_of_video_are_cut_at_random_if_crop_says_so(filmed):
    for crop in (False, True):
        given = {"kind": "video", "frames": 4, "windows": 8.0, "probe": False, "crop": crop}
        settings = settings_of(filmed, **given)
        clips = load_pretraining_data(settings).clips("train", settings, training=True)
        whole = clips.frames_of(0, clips.rng(0, 0))[0]
        (seen, *_), *_ = clips.draws(0)
        assert seen.frames.shape == (4, 3, 64, 64)
        assert seen.frames.equal(centre(whole, 64)) is not crop


def test_frames_are_whole_tokens():
    with pytest.raises(SettingsError, match="frames: mamp has tokens of 4 frames, got 10; choose"):
        PretrainSettings.from_arguments({"frames": 10})
    with pytest.raises(SettingsError, match="frames: motion needs at least 8, got 4; set"):
        PretrainSettings.from_arguments({"frames": 4})
    with pytest.raises(SettingsError, match="refit: pre-training holds validation out"):
        PretrainSettings.from_arguments({"refit": True})
    for model, frames, part in (("mamp", 30, 4), ("mamp", 0, 4), ("videomae-s", 15, 2)):
        with pytest.raises(
            SettingsError, match=f"frames: {model} has tokens of {part} frames, got"
        ):
            BaselineSettings.from_arguments({"model": model, "frames": frames})


def test_joints_of_a_limb_have_one_part():
    layout = LAYOUTS["imigue22"]
    parts = dict(zip(layout.joints, body_parts(layout), strict=True))
    assert parts["left_elbow"] == parts["left_wrist"] != parts["right_elbow"]
    assert parts["nose"] == parts["left_ear"] != parts["neck"]
    assert parts["left_thumb_tip"] == parts["left_pinky_tip"] != parts["left_wrist"]
