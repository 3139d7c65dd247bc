"""The gesture model end to end: exact resume with its bank, missing modalities, what it refuses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.app import main
from imigue_lab.data.samplers import log_prior
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import nest
from imigue_lab.data.store import Encoding, create_store
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError, RunError, SettingsError
from imigue_lab.models.gesture import GestureModel
from imigue_lab.models.tokens import joint_tokens
from imigue_lab.results.score_tables import changed_decisions
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.gestures import train as gesture
from imigue_lab.training.gestures.map_encoder import MappedClips
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import load_gesture_tokens, training_batches
from imigue_lab.training.gestures.train import Steps, load_gesture, predict, train_gesture
from imigue_lab.training.runs import find_run
from imigue_lab.training.session import open_device
from imigue_lab.views.answers import learning_curves
from imigue_lab.views.card import write_card

IMIGUE = builtin("imigue")


@pytest.fixture(scope="module")
def pose(synthetic):
    """Runs of both streams at 8 frames, by name."""
    data = load_gesture_data(open_data(str(synthetic)))
    for stream in ("joint", "bone"):
        given = {"data": str(synthetic), "frames": 8, "epochs": 1, "name": f"tiny-{stream}"}
        train_baseline(BaselineSettings.from_arguments({**given, "stream": stream}), data)
    return {"joint_run": "tiny-joint", "bone_run": "tiny-bone"}


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """The run of that name, trained on other interviews with the same ids."""
    root = tmp_path_factory.mktemp("strangers") / "interviews"
    make_data(root, SyntheticSpec(videos=24, pictures=False, seed=5))
    given = {"data": str(root), "frames": 8, "epochs": 1, "name": "strangers"}
    train_baseline(BaselineSettings.from_arguments(given))


@pytest.fixture(scope="module")
def tiny(synthetic, pose):
    """Settings that train in a few seconds; keyword arguments change them."""

    def settings(**changes):
        small = {"frames": 8, "epochs": 10, "warmup": 5, "ramp": 2, "width": 48, "heads": 6}
        small |= {"lr": 2e-3, "batch_size": 8, "bank": 4, "top_k": 2, "data": str(synthetic)}
        return GestureSettings.from_arguments({**small, **pose, **changes})

    return settings


@pytest.fixture(scope="module")
def data(tiny):
    return load_gesture_tokens(tiny())


@pytest.fixture(scope="module")
def written(tiny, data):
    """A finished run, and (clip, label, class said, its probability) of all that was remembered."""
    seen = []

    def remember(self, candidates):
        rules = kept(self, candidates)
        probability, predicted = candidates.logits.softmax(dim=1).max(dim=1)
        columns = (predicted.tolist(), probability.tolist())
        rows = zip(candidates.clip_ids, candidates.label.tolist(), *columns, strict=True)
        seen.extend(row for row in rows if row[0] in rules)
        return rules

    kept, GestureModel.remember = GestureModel.remember, remember
    try:
        return train_gesture(tiny(name="written"), data), seen
    finally:
        GestureModel.remember = kept


def test_a_run_leaves_a_table_with_every_clip_by_its_id(written, index, data):
    run, _ = written
    table = run.predictions().set_index("clip_id")
    known = index.clips.set_index("clip_id")
    assert set(table.index) == set(known.index)
    assert (table.label == known.label.loc[table.index]).all()
    probability = table[[f"p{c}" for c in range(32)]].to_numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert (table.predicted == probability.argmax(axis=1)).all()
    assert set(table.based_on) == {"both"}
    assert {"model"} < set(run.scores().predictor)
    assert "rgb features (synthetic-rgb-" in run.provenance()["remarks"][0]
    assert run.provenance()["pose"] == ["tiny-joint", "tiny-bone"]


def test_every_entry_of_the_bank_is_of_its_class_and_was_predicted_correctly(written, data, index):
    run, seen = written
    bank = load_gesture(run, data).gesture.memory.bank
    train = data.part("train").set_index("clip_id").label
    right = {clip_id for clip_id, label, predicted, p in seen if label == predicted and p > 0.5}
    assert right == {row[0] for row in seen}
    entries = [(c, i) for c, ids in enumerate(bank.source_ids(train.index)) for i in ids if i]
    assert len(entries) >= 10
    for label, clip_id in entries:
        assert train[clip_id] == label and clip_id in right
    assert all(len(set(ids) - {""}) == sum(map(bool, ids)) for ids in bank.source_ids(train.index))


EVERYTHING = {"reads": "all", "keep": "last", "refit": True, "lr_warmup": 2, "clip_grad": 0.5}
EVERYTHING |= {"ema": 0.9}
EVERYTHING |= {"epochs": 4, "warmup": 2, "ramp": 1}


@pytest.mark.parametrize("changes", [{}, EVERYTHING], ids=["plain", "refit"])
def test_a_run_that_was_stopped_ends_with_the_same_numbers_and_the_same_bank(
    written, tiny, data, monkeypatch, changes
):
    whole = train_gesture(tiny(name="whole", **changes), data) if changes else written[0]
    remember = Steps.remember
    for steps in (30, 30) if changes else (50,):  # of a refit, both runs are interrupted
        count = iter(range(1000))

        def stop(self, count=count, steps=steps):
            remember(self)
            if next(count) == steps:
                raise KeyboardInterrupt

        monkeypatch.setattr(Steps, "remember", stop)
        with pytest.raises(KeyboardInterrupt):
            train_gesture(tiny(name=f"stopped{len(changes)}", **changes), data)
    monkeypatch.setattr(Steps, "remember", remember)
    again = train_gesture(tiny(name=f"stopped{len(changes)}", **changes), data)
    for name in ("metrics.csv", "scores.json"):
        assert (whole.folder / name).read_bytes() == (again.folder / name).read_bytes()
    a, b = whole.load_weights("last"), again.load_weights("last")
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    assert a["gesture.memory.epoch"] == len(whole.metrics()) - 1
    assert changes or (a["gesture.memory.bank.source"] >= 0).sum() >= 10
    pd.testing.assert_frame_equal(whole.predictions(), again.predictions(), check_exact=True)


def test_stagnation_before_the_memory_is_read_does_not_lower_the_learning_rate(
    tiny, data, monkeypatch
):
    monkeypatch.setattr(gesture, "validation_scores", lambda _: {"validation_error": 0.5})
    remember, count = Steps.remember, iter(range(1000))
    settings = tiny(name="stagnant", warmup=2, patience=2, epochs=4)  # halves after 2 epochs
    steps = len(training_batches(data, 8, 0, settings.balance))

    def stop(self):
        remember(self)
        if next(count) == 2 * steps:  # the first step that reads
            raise KeyboardInterrupt

    monkeypatch.setattr(Steps, "remember", stop)
    with pytest.raises(KeyboardInterrupt):
        train_gesture(settings, data)
    monkeypatch.setattr(Steps, "remember", remember)
    rates = train_gesture(settings, data).metrics().lr
    assert (rates == settings.lr).all() and len(rates) == 4


def test_changed_decisions_are_counted_by_split(written):
    table = written[0].predictions()
    table["predicted"] = (table.unrefined + np.arange(len(table)) % 3) % 32  # some change
    table.loc[:4, "label"] = np.nan
    changes = changed_decisions(table).set_index("split")
    assert set(changes.index) == {"train", "validation", "test"}
    for split, row in changes.iterrows():
        own = table[(table.split == split) & table.label.notna()]
        before, after, truth = (own[c].to_numpy() for c in ("unrefined", "predicted", "label"))
        assert row.n == len(own) and row.changed == sum(before != after) > 0
        assert row.right_to_wrong == sum((before == truth) & (after != truth))
        assert row.wrong_to_right == sum((before != truth) & (after == truth))
    assert changes[["right_to_wrong", "wrong_to_right"]].to_numpy().sum() > 0


def test_the_unrefined_class_is_the_argmax_before_the_memory(written, data):
    run, _ = written
    model = load_gesture(run, data)
    model.gesture.memory.warmup = 1000
    unread = predict(open_device("cpu"), model, data, "test", 8).set_index("clip_id")
    table = run.predictions().set_index("clip_id").loc[unread.index]
    assert (table.unrefined == unread.predicted).all()


def test_a_refit_trains_on_validation_for_the_epochs_of_the_first_run(tiny, data):
    given = {"refit": True, "epochs": 3, "warmup": 1}
    run = train_gesture(tiny(name="refit", **given), data)
    first = find_run("refit-selection")
    kept = 1 + first.metrics().validation_error[1:].idxmin()
    assert len(run.metrics()) == kept and "validation_error" not in run.metrics()
    assert (run.metrics().lr == first.metrics().lr[:kept]).all()
    counts = data.gestures.split.clips.split.value_counts()
    assert (run.predictions().split == "train").sum() == counts.train + counts.validation
    assert set(run.scores().split) == {"test"} and "validation" in set(first.scores().split)
    assert any("validation is part of train" in r for r in run.provenance()["remarks"])
    assert learning_curves(run).data and write_card(run).exists()


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_kept_epoch_is_the_best_or_the_last(tiny, data, monkeypatch, keep):
    errors = iter([0.9, 0.1, 0.5])
    monkeypatch.setattr(gesture, "validation_scores", lambda _: {"validation_error": next(errors)})
    run = train_gesture(tiny(name=f"kept-{keep}", epochs=3, warmup=0, keep=keep), data)
    epoch = run.load_weights("best")["gesture.memory.epoch"]
    assert epoch == {"best": 1, "last": 2}[keep]


def test_predictions_do_not_depend_on_the_batch(tiny, synthetic, pose):
    names = {}
    for stream in ("joint", "bone"):
        given = {"data": str(synthetic), "frames": 0, "epochs": 1, "stream": stream}
        given |= {"name": f"own-{stream}"}
        names[f"{stream}_run"] = train_baseline(BaselineSettings.from_arguments(given)).folder.name
    settings = tiny(frames=0, epochs=1, **names)
    data = load_gesture_tokens(settings)
    model = load_gesture(train_gesture(settings, data), data)
    tables = [
        predict(open_device("cpu"), model, data, "test", size).set_index("clip_id")
        for size in (1, 7)
    ]
    columns = [f"p{c}" for c in range(32)]
    np.testing.assert_allclose(tables[0][columns], tables[1][columns], atol=1e-5)


def test_a_clip_without_a_modality_uses_the_other_and_is_counted(tiny, data):
    blind, dark, bare = data.part("train").clip_id[:3]
    poses = {i: p for i, p in data.poses.items() if i not in (blind, bare)}
    rgb = {i: m for i, m in data.rgb.items() if i not in (dark, bare)}
    less = replace(data, poses=poses, rgb=rgb)
    run = train_gesture(tiny(epochs=1, name="less"), less)
    table = run.predictions().set_index("clip_id")
    assert table.based_on[[blind, dark]].tolist() == ["rgb", "pose"]
    alone = predict(open_device("cpu"), load_gesture(run, less), less, "train", 1)
    columns = [f"p{c}" for c in range(32)]
    alone = alone.set_index("clip_id").loc[[blind, dark], columns]
    np.testing.assert_allclose(alone, table.loc[[blind, dark], columns], atol=1e-5)
    heads = [table[[f"{head}{c}" for c in range(32)]].to_numpy() for head in ("pose", "rgb")]
    assert set(table.index[(heads[0] == heads[1]).all(axis=1)]) == {blind, dark}
    assert bare not in table.index and bare not in set(less.part("train").clip_id)
    remarks = " ".join(run.provenance()["remarks"])
    assert f"1 clips have no rgb tokens: only pose is used: {dark}" in remarks
    assert f"1 clips have no visible joint: only rgb is used: {blind}" in remarks
    assert (
        f"1 clips have neither rgb tokens nor joints: they are not used for training: {bare}"
        in remarks
    )


@pytest.mark.parametrize(
    "variant",
    [
        {"fusion": "late"},
        {"fusion": "concat", "loss_on": "each"},
        {"fusion": "cross_attention", "criteria": "spatial", "memory": False}
        | {"loss_on": "weighted"},
        {"margin": 0.2, "fold": 1, "joint_run": "", "bone_run": ""},
        {"reads": "all", "warmup": 0, "lr_warmup": 1, "clip_grad": 1.0, "keep": "last"},
    ],
    ids=["late", "concat", "cross_attention", "fold", "all"],
)
def test_every_variant_trains_and_scores(tiny, data, variant, monkeypatch):
    if "fold" in variant:
        given = BaselineSettings.from_arguments
        monkeypatch.setattr(BaselineSettings, "from_arguments", lambda g: given({**g, "epochs": 1}))
        data = None
    run = train_gesture(tiny(epochs=1, **variant), data)
    assert np.isfinite(run.metrics().to_numpy(dtype=float)).all()
    assert set(run.scores().split) == {"validation", "test"}


@pytest.mark.parametrize("finetune", [False, True])
def test_the_pose_encoder_changes_only_when_it_is_fine_tuned(tiny, data, finetune):
    settings = tiny(epochs=1, finetune=finetune, name=f"finetune-{finetune}")
    run = train_gesture(settings, load_gesture_tokens(settings) if finetune else data)
    before = data.runs[0].load_weights("best")["blocks.0.graph.learned"]
    after = run.load_weights("last")["encoder.joint.blocks.0.graph.learned"]
    assert torch.equal(before, after) != finetune


def test_the_correction_of_the_prior_is_stored_with_the_weights(tiny, data, written):
    labels = data.part("train").label.tolist()
    expected = torch.tensor(log_prior(labels, 0.5, 32)).float()
    assert torch.equal(written[0].load_weights("best")["gesture.prior"], expected)
    sampled = train_gesture(tiny(prior="sampled", epochs=1), data)
    assert expected.any() and not sampled.load_weights("best")["gesture.prior"].any()


def test_batches_hold_both_modalities_of_the_same_clips(tiny, data):
    batches = training_batches(data, 16, 0, 0.5)
    ((batch, _),) = next(iter(batches.steps(3)))
    ((again, _),) = next(iter(training_batches(data, 16, 0, 0.5).steps(3)))
    assert batch.clip_ids == again.clip_ids
    for row, clip_id in enumerate(batch.clip_ids):
        own = data.rgb[clip_id].float().reshape(-1, data.rgb_dim)
        assert torch.equal(batch.rgb.values[row], own)
        assert torch.equal(batch.places[row], data.poses[clip_id].places)
    pose = joint_tokens(batch.tokens, batch.places, batch.seen, batch.steps)
    inside = pose.placed[pose.mask].float().mean()
    assert inside > 0.8  # elbows and fingers leave the crop
    assert pose.times.unique().tolist() == [0.25, 0.75]


def test_pose_tokens_are_encoded_once_and_made_again_for_another_skeleton(
    tiny, data, index, monkeypatch
):
    encode, asked = MappedClips.encode, []

    def listen(posed, clip_ids):
        asked.append(clip_ids)
        return encode(posed, clip_ids)

    monkeypatch.setattr(MappedClips, "encode", listen)
    again = load_gesture_tokens(tiny())
    assert not asked
    for clip_id, pose in data.poses.items():
        assert torch.equal(again.poses[clip_id].tokens, pose.tokens)

    store = create_store("", index, data.posed.encoding)
    weights = data.runs[0].folder / "best.safetensors"
    clip_id, pose = next(iter(data.poses.items()))
    assert torch.equal(torch.from_numpy(store.read(clip_id)["tokens"]), pose.tokens)
    assert store.is_fresh(clip_id, weights, content=data.posed.contents[clip_id])
    assert not store.is_fresh(clip_id, weights, content="another skeleton")
    store.path(clip_id).unlink()
    once_more = load_gesture_tokens(tiny())
    assert asked[0] == [clip_id] and len(asked) == 2 and clip_id in asked[1]  # its size is printed
    assert torch.equal(once_more.poses[clip_id].tokens, pose.tokens)


def test_checkpoints_of_other_rgb_tokens_keypoints_or_classes_are_refused(
    written, data, monkeypatch
):
    run, _ = written
    with pytest.raises(RunError, match=r"rgb is .synthetic-rgb-.*, expected .other-"):
        load_gesture(run, replace(data, encoding=Encoding("other", "one")))
    gestures = replace(data.gestures, layout=LAYOUTS["coco17"])
    with pytest.raises(RunError, match="keypoints is 'imigue22', expected 'coco17'"):
        load_gesture(run, replace(data, gestures=gestures))
    vocabulary = replace(IMIGUE, classes=("shrug", *IMIGUE.classes[1:]))
    split = replace(data.gestures.split, vocabulary=vocabulary)
    with pytest.raises(RunError, match="at 0, expected 'shrug'"):
        load_gesture(run, replace(data, gestures=replace(data.gestures, split=split)))


def test_a_bank_of_another_width_is_refused(written, data, tiny):
    weights = written[0].load_weights("best")
    wider = gesture.checkpoint_of(tiny(bank=5), data)["model"]
    model = gesture.GestureSystem(load_gesture(written[0]).encoder, gesture.build_gesture(**wider))
    with pytest.raises(RunError, match="bank"):
        model.load_state_dict(weights)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"joint_run": "tiny-bone"},
            "joint_run: run 'tiny-bone' does not fit: stream is 'bone'",
        ),
        ({"frames": 16}, "joint_run: run 'tiny-joint' does not fit: frames is 8, expected 16"),
        ({"fold": 2}, "joint_run: .* got run 'tiny-joint', of whose 86 clips 23 are held out here"),
        ({"joint_run": "strangers"}, "joint_run: .* got run 'strangers', of whose .* differ: 0"),
        ({"joint_run": "nobody"}, "nobody: no finished run"),
    ],
)
def test_a_pose_run_that_does_not_fit_is_refused(tiny, strangers, changes, complaint):
    with pytest.raises(RunError, match=complaint):
        load_gesture_tokens(tiny(**changes))


def test_a_pose_run_of_the_whole_train_split_is_refused_in_folds_within_folds(tiny, index):
    # eight subjects are too few to nest: each video is one here
    tables = {name: getattr(index, name).assign(subject=None) for name in ("videos", "clips")}
    nested = nest(replace(index, **tables), "label", 0, seed=0)
    train = (set(i.clips.clip_id[i.clips.split == "train"]) for i in (index, nested))
    held_out = len(next(train) - next(train))
    assert held_out > 15
    with pytest.raises(RunError, match=f"'tiny-joint', of whose 86 clips {held_out} are held out"):
        load_gesture_tokens(tiny(), nested)


def test_rgb_tokens_of_a_users_own_folder_train_and_odd_ones_are_refused(tiny, index, tmp_path):
    for number, clip_id in enumerate(index.clips.clip_id[1:]):
        shape = (3 + number % 2, 5)
        np.save(tmp_path / f"{clip_id}.npy", np.ones(shape, np.float32))
    data = load_gesture_tokens(tiny(rgb=str(tmp_path)))
    assert data.without_rgb == [index.clips.clip_id[0]] and data.rgb_dim == 5
    assert train_gesture(tiny(rgb=str(tmp_path), epochs=1), data).finished
    np.save(tmp_path / f"{index.clips.clip_id[0]}.npy", np.ones((3, 6), np.float32))
    with pytest.raises(DataError, match=r"expected clips of one width, got 6 in .*, 5 in"):
        load_gesture_tokens(tiny(rgb=str(tmp_path)))
    np.save(tmp_path / f"{index.clips.clip_id[0]}.npy", np.ones(6, np.float32))
    with pytest.raises(DataError, match="expected rgb tokens"):
        load_gesture_tokens(tiny(rgb=str(tmp_path)))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"fusion": "late", "memory": "true"}, "memory: late fusion has no feature to remember"),
        ({"width": 50}, "heads: 6 does not divide width 50"),
        ({"top_k": 60}, "top_k: 60 exceeds bank, 50"),
        ({"criteria": "semantic,spatal"}, "criteria: expected names out of semantic, spatial"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given, complaint):
    with pytest.raises(SettingsError, match=complaint):
        GestureSettings.from_arguments(given)


def test_late_fusion_has_no_memory_by_default():
    assert not GestureSettings.from_arguments({"fusion": "late"}).memory
    assert GestureSettings.from_arguments({"preset": "paper"}).memory


def test_the_command_line_trains_and_prints_the_constant_predictors(tiny, capsys):
    given = tiny(fusion="late", epochs=1).model_dump()
    names = ("data", "joint_run", "bone_run", "frames", "width", "heads", "bank", "top_k")
    words = [f"--{name.replace('_', '-')}={given[name]}" for name in names]
    main(["train", "gesture", *words, "--fusion", "late", "--epochs", "1"])
    assert "always" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["train", "gesture", "--fusion", "early"])
    assert end.value.code == 2
