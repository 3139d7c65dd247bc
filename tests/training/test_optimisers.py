"""Optimisers and schedules match their names."""

import math
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from pandas.testing import assert_series_equal
from torch import nn
from torch.testing import assert_close
from torchvision.ops import StochasticDepth

from imigue_lab.data.samplers import BucketSampler
from imigue_lab.errors import SettingsError
from imigue_lab.models.baselines import SIZES, build_baseline
from imigue_lab.models.checkpoints.registry import FAMILIES, load_published
from imigue_lab.models.gesture import build_gesture
from imigue_lab.models.graph.agcn import TwoStream
from imigue_lab.training.baselines.data import BaselineData
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import build_optimizer
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.map_encoder import MapEncoder
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.gestures.train import trained_groups
from imigue_lab.training.loop import (
    EpochBatches,
    Stopping,
    average,
    build_scheduler,
    fit,
)
from imigue_lab.training.optimisers import depths, parameter_groups
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.pretraining.train import parameter_groups as groups_of_pretraining
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_session
from imigue_lab.training.settings import TrainSettings
from tests.models.recordings import made_weights, read_recording


def test_no_schedule_is_none_and_optimizers_are_as_named():
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    sgd = build_optimizer(model, BaselineSettings(optimizer="sgd", lr=0.1, weight_decay=5e-4))
    group = sgd.param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 5e-4)
    assert len(group["params"]) == 1
    plain = build_optimizer(model, BaselineSettings(optimizer="sgd", nesterov=False))
    assert not plain.param_groups[0]["nesterov"]
    assert type(build_optimizer(model, BaselineSettings())).__name__ == "AdamW"
    assert build_scheduler("none", sgd, 5, 5, 2) is None


def trained(tmp_path, epochs=3, schedule="none", patience=None, selection=None, **changes):
    """Two steps an epoch of one weight that rises by lr times the gradient 3; its course."""
    settings = TrainSettings(**changes)
    tmp_path.mkdir(exist_ok=True)
    model, course = nn.Linear(1, 1, bias=False), []
    nn.init.zeros_(model.weight)
    batches = EpochBatches(
        BucketSampler([1] * 4, 2, 0), lambda own: torch.full((len(own), 1), -3.0)
    )
    with open_session(Run(tmp_path), settings, []) as session:
        fit(
            session,
            model,
            torch.optim.SGD(model.parameters(), lr=1.0),
            schedule,
            batches,
            lambda model, x: model(x).mean(),
            lambda model: {"validation_loss": 1.0, "weight": model.weight.item()},
            {},
            Stopping(epochs, patience or epochs, keep="last"),
            selection=selection,
            after_step=lambda: course.append(model.weight.item()),
        )
    return course


def rises(course):
    """The learning rate of each step."""
    return pytest.approx([(b - a) / 3 for a, b in pairwise([0.0, *course])], abs=1e-6)


def test_cosine_falls_with_every_step_and_from_the_end_of_warm_up_on(tmp_path):
    cosine = [(1 + math.cos(math.pi * n / 8)) / 2 for n in range(8)]
    assert cosine == rises(trained(tmp_path / "cosine", 4, "cosine"))
    assert Run(tmp_path / "cosine").metrics().lr.tolist() == pytest.approx(cosine[::2])
    warm = [cosine[0] * 0.5, *cosine[1:]]
    assert warm == rises(trained(tmp_path / "warm", 4, "cosine", lr_warmup=1))


def rates_of(settings, steps, share=1.0):
    """The rate at a step, of weights that have a share of the learning rate."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [weight], "lr": share * settings.lr}], lr=settings.lr)
    given = (settings.epochs, settings.patience, steps, settings.lr_warmup)
    scheduler = build_scheduler(settings.scheduler, optimizer, *given)
    (base,), (of_start,) = scheduler.base_lrs, scheduler.lr_lambdas
    return lambda step: base * of_start(step)


def preset(name):
    """The published recipe of pre-training or of a row."""
    if name in ("motion", "video"):
        return PretrainSettings.from_arguments({"preset": "paper", "kind": name})
    return BaselineSettings.from_arguments({"preset": "paper", "model": name})


@pytest.mark.shared
def test_the_published_recipes_of_mamp_have_its_schedule(shared):
    facts, arrays = read_recording(shared / "fixtures/pretraining", "mamp_schedule")
    near = facts["tolerance"]["float64"]
    for name, settings in (("case0", preset("motion")), ("case1", preset("mamp"))):
        for suffix, share in (("lr", 1.0), ("lr_scale064", 0.64)):
            rate = rates_of(settings, 400, share)
            found = [rate(round(400 * epoch)) for epoch in arrays[f"{name}_epoch"].tolist()]
            assert_close(
                torch.tensor(found, dtype=torch.float64), arrays[f"{name}_{suffix}"], **near
            )


@pytest.mark.shared
def test_a_cosine_with_two_rates_has_videomaes_schedule(shared):
    facts, arrays = read_recording(shared / "fixtures/pretraining", "videomae_schedule")
    for case in facts["cases"]:
        args = case["args"]
        start = args.get("start_warmup_value", args["base_value"])
        given = {"lr": args["base_value"], "lr_warmup": args.get("warmup_epochs", 0)}
        given |= {"epochs": args["epochs"], "scheduler": f"cosine:{start}:{args['final_value']}"}
        rate = rates_of(BaselineSettings.from_arguments(given), args["niter_per_ep"])
        expected = arrays[f"case{case['index']}_values"]
        found = torch.tensor([rate(step) for step in range(len(expected))], dtype=torch.float64)
        assert_close(found, expected, **facts["tolerance"]["float64"])


@pytest.mark.parametrize(
    ("name", "lr", "least", "more"),
    [
        ("video", 1.5e-4, 1e-5, {"epochs": 800, "lr_warmup": 40, "weight_decay": 0.05}),
        ("videomae-b", 5e-4, 1e-6, {"epochs": 75, "lr_warmup": 5, "layer_decay": 0.75}),
        ("videomae-s", 5e-4, 1e-6, {"epochs": 150, "mixup": 0.8, "smoothing": 0.1}),
    ],
)
def test_the_published_recipes_of_videomae_scale_its_rates_to_the_batch(name, lr, least, more):
    settings = preset(name)
    batch = settings.batch_size / 256
    kind, *found = settings.scheduler.split(":")
    assert kind == "cosine" and settings.lr == pytest.approx(lr * batch)
    assert [float(rate) for rate in found] == pytest.approx([1e-6 * batch, least * batch])
    assert settings.model_dump().items() >= more.items()


def test_a_schedule_with_its_own_warm_up_is_followed_by_each_step(tmp_path):
    course = trained(tmp_path, 3, "cosine:0.1:0.5", lr_warmup=1)
    cosine = [0.5 + 0.25 * (1 + math.cos(math.pi * n / 4)) for n in range(4)]
    assert rises(course) == [0.1, 1.0, *cosine]


PUBLISHED = {  # recording -> family of its weights, what these do not tell, and the preset
    "mamp_finetune_v22": ("mamp", {"heads": 4}, "mamp"),
    "mamp_finetune_v25": ("mamp", {"heads": 4}, "mamp"),
    "videomae_vit": ("videomae", {"heads": 3, "clip": (8, 64, 64)}, "videomae-b"),
    "videomaev2_vit": ("videomae-v2", {"heads": 3, "clip": (8, 64, 64)}, "videomae-b"),
    "mamp_pretrain_v22": ("mamp", {"heads": 4}, "motion"),
    "mamp_pretrain_v25": ("mamp", {"heads": 4}, "motion"),
    "videomae_pretrain": ("videomae", {"heads": 3, "clip": (16, 32, 32)}, "video"),
    "videomaev2_pretrain_dual": ("videomae-v2", {"heads": 3, "clip": (8, 32, 32)}, "video"),
}


@pytest.mark.shared
@pytest.mark.parametrize("recording", PUBLISHED)
def test_pretrained_transformers_have_the_published_groups(shared, recording):
    family, sizes, name = PUBLISHED[recording]
    facts, arrays = read_recording(shared / "fixtures/pretraining", recording)
    heads = {"decoder_heads": 3} if name == "video" else {}
    weights = {"model": made_weights(facts["state_dict"])}
    model, asked = load_published(weights, family, **sizes, **heads), preset(name)
    if isinstance(asked, PretrainSettings):
        groups = groups_of_pretraining(model, asked.weight_decay)
    else:
        groups = build_optimizer(model, asked).param_groups
    found = {p: group for group in groups for p in group["params"]}
    assert len(found) == len(list(model.parameters()))
    scales = arrays.get("group_lr_scale", torch.ones(len(facts["parameters"])))
    for n, key in enumerate(facts["parameters"]):
        whole = key.replace("q_bias", "qkv.bias").replace("v_bias", "qkv.bias")
        group = found[model.get_parameter(FAMILIES[family].rename(whole))]
        assert group.get("lr", asked.lr) == pytest.approx(asked.lr * scales[n].item())
        assert group["weight_decay"] == pytest.approx(arrays["group_weight_decay"][n].item())


def test_steps_leave_a_tenth_after_the_named_epochs(tmp_path):
    course = trained(tmp_path, 4, "steps:1:3")
    assert rises(course) == [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01]


def test_the_progress_bar_is_complete_also_where_patience_ended_it(tmp_path, capsys):
    course = trained(tmp_path, 40, "plateau", patience=2)
    shown = capsys.readouterr().err.split("\r")[-1]
    assert len(course) < 80 and f"100%|██████████| {len(course)}/{len(course)}" in shown


def test_a_plateau_halves_after_half_the_patience(tmp_path):
    course = trained(tmp_path, 6, "plateau", patience=4)
    assert rises(course) == [1] * 8 + [0.5] * 2


@pytest.mark.parametrize("schedule", ["none", "cosine", "steps:1:3", "plateau"])
def test_a_refit_has_the_learning_rates_of_its_selection(tmp_path, schedule):
    course = trained(tmp_path / "first", 4, schedule, patience=2)
    again = trained(tmp_path / "again", 4, schedule, patience=2, selection=Run(tmp_path / "first"))
    assert again == pytest.approx(course)
    first, second = (Run(tmp_path / name).metrics().lr for name in ("first", "again"))
    assert_series_equal(first, second)


def test_the_learning_rate_rises_linearly_over_the_steps_of_warm_up(tmp_path):
    rising = trained(tmp_path, lr_warmup=2)
    shares = [(b - a) / 3 for a, b in pairwise([0.0, *rising])]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert Run(tmp_path).metrics().lr.tolist() == [1, 1, 1]  # before the share


def test_the_gradients_norm_is_clipped(tmp_path):
    assert trained(tmp_path / "free", 1) == pytest.approx([3, 6])
    assert trained(tmp_path / "clipped", 1, clip_grad=0.5) == pytest.approx([0.5, 1.0])
    assert trained(tmp_path / "below", 1, clip_grad=5.0) == pytest.approx([3, 6])


class Normed(nn.Module):
    """A weight, statistics, and a counter beside them."""

    def __init__(self):
        super().__init__()
        self.weight, self.norm = nn.Parameter(torch.zeros(1)), nn.BatchNorm1d(1)
        self.register_buffer("count", torch.tensor(0))


def test_averaged_weights_follow_their_equation_with_their_statistics():
    model, averaged, weight, mean = Normed(), Normed(), 0.0, 0.0
    for n in range(12):
        with torch.no_grad():
            model.weight.fill_(n**2)
            model.norm.running_mean.fill_(5 * n + 1)
            model.count += 3
        average(averaged, model, 0.4)
        weight, mean = 0.4 * weight + 0.6 * n**2, 0.4 * mean + 0.6 * (5 * n + 1)
    assert averaged.weight.item() == pytest.approx(weight)
    assert averaged.norm.running_mean.item() == pytest.approx(mean)
    assert averaged.count == model.count == 36
    assert model.weight == 11**2 and model.norm.running_mean == 56


def test_averaged_weights_are_evaluated_kept_and_saved(tmp_path):
    course, averages = trained(tmp_path, ema=0.2), []
    for n, weight in enumerate(course):
        d = min(0.2, n / (9 + n))
        averages.append(d * averages[-1] + (1 - d) * weight if averages else weight)
    assert course == pytest.approx([3 * n for n in range(1, 7)])
    assert Run(tmp_path).metrics().weight.tolist() == pytest.approx(averages[1::2])
    for name in ("best", "last"):
        saved = Run(tmp_path).load_weights(name)["weight"].item()
        assert saved == pytest.approx(averages[-1]) and saved < course[-1]


SWIN = ["patch_embed.proj.weight", "features.0.0.mlp.3.bias", "features.0.1.norm1.weight"]
SWIN += ["features.1.reduction.weight", "features.2.0.attn.qkv.weight", "norm.weight"]


def test_depths_count_the_blocks_up_to_a_weight():
    assert list(depths([*SWIN, "head.weight"]).values()) == [0, 1, 2, 2, 3, 4, 4]
    plain = ["head.weight", "net.bn1.bias", "net.layer1.0.bn1.bias", "net.layer1.1.x.0.weight"]
    assert depths(plain) == dict(zip(plain, [3, 0, 1, 2], strict=True))
    assert depths(["weight", "head.1.weight"]) == {"weight": 0, "head.1.weight": 1}


def groups_of(model, groups):
    """The learning rate and weight decay of each weight by its name."""
    names = {p: key for key, p in model.named_parameters()}
    return {
        names[p]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]
    }


@pytest.mark.parametrize(
    ("name", "above"),  # of the last norm, or of a graph network's last block, to the stem
    [("video-swin-t", range(6)), ("mvitv2-s", range(5)), ("ctr-gcn", range(1, 6))],
)
def test_every_weight_gets_the_rate_of_its_depth_and_decays_or_not(name, above):
    more = {"clip": [4, 64, 64]} if name == "mvitv2-s" else {}
    model = build_baseline(name, **SIZES[name]["small"], **more)
    asked = BaselineSettings(
        model=name, lr=1.0, layer_decay=0.5, backbone_lr=0.25, weight_decay=0.3, decay_norms=False
    )
    found = groups_of(model, build_optimizer(model, asked).param_groups)
    assert found.keys() == dict(model.named_parameters()).keys()
    rates = {key: lr for key, (lr, _) in found.items() if "head." not in key}
    assert set(rates.values()) == {0.25 * 0.5**n for n in above}
    assert all(lr == 1 for key, (lr, _) in found.items() if "head." in key)
    kept = {key for key, (_, decay) in found.items() if not decay}
    assert {key for key in found if key.endswith("bias") or ".norm" in key} <= kept
    assert not {key for key in kept if model.get_parameter(key).ndim > 1 and "pos" not in key}


def test_the_default_is_one_group_of_one_rate_and_decay():
    model = build_baseline("video-swin-t", **SIZES["video-swin-t"]["small"])
    (group,) = parameter_groups(model, 0.1, 0.2)
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.2)
    assert len(group["params"]) == len(list(model.parameters()))


def test_norms_and_biases_of_the_emotion_model_decay_or_not(quick):
    for decays in (True, False):
        run = train_emotion(quick(epochs=1, weight_decay=0.5, decay_norms=decays))
        matrices, vectors = run.load_resume()["optimizer"]["param_groups"]
        assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.5, 0.5 * decays)
        shapes = [w.ndim for w in run.load_weights("best").values() if w.is_floating_point()]
        assert len(matrices["params"]) == sum(n > 1 for n in shapes)
        assert {group["lr"] for group in (matrices, vectors)} == {1e-3}


def test_fine_tuned_encoders_have_rates_of_their_own_and_theta_never_decays():
    swin, *agcn = (
        build_baseline(name, **SIZES[name]["small"]) for name in ("video-swin-t", *["2s-agcn"] * 2)
    )
    gesture = build_gesture(rgb_dim=8, pose_dim=8, width=12, heads=6)
    model = GestureSystem(TwoStream(*agcn), gesture, MapEncoder(swin, "video-swin-t"))
    asked = GestureSettings(
        finetune=True, lr=1.0, backbone_lr=0.25, layer_decay=0.5, weight_decay=0.3
    )
    found = groups_of(model, trained_groups(model, asked))
    assert found.keys() == dict(model.named_parameters()).keys()
    assert {key for key, (_, decay) in found.items() if not decay} == {"gesture.theta"}
    for part, above in (("gesture", 1), ("encoder.joint", 6), ("encoder.bone", 6), ("rgb_enc", 6)):
        rates = {lr for key, (lr, _) in found.items() if key.startswith(part)}
        assert rates == ({1.0} if part == "gesture" else {0.25 * 0.5**n for n in range(above)})
    plain = groups_of(
        model, trained_groups(model, GestureSettings(finetune=True, decay_norms=False))
    )
    assert not any(plain[key][1] for key, p in model.named_parameters() if p.ndim < 2)
    model.encoder.requires_grad_(False)
    frozen = groups_of(model, trained_groups(model, GestureSettings()))
    assert not any(key.startswith("encoder.") for key in frozen)


@pytest.mark.parametrize("name", ["backbone_lr", "layer_decay"])
def test_the_rate_of_frozen_encoders_is_refused(name):
    with pytest.raises(
        SettingsError, match=f"{name}: frozen encoders have no learning rate; leave"
    ):
        GestureSettings.from_arguments({name: 0.5})
    with pytest.raises(SettingsError, match=f"{name}: no such parameter"):
        EmotionSettings.from_arguments({name: 0.5})


def test_drop_path_is_as_published_unless_it_is_set():
    data = SimpleNamespace(split=SimpleNamespace(vocabulary=range(5)), gestures=None)
    for name, published in (
        ("video-swin-b", 0.3),
        ("video-swin-t", 0.1),
        ("mvitv2-s", 0.2),
        ("videomae-s", 0.1),
    ):
        for drop_path in (-1, 0.0, 0.4):
            asked = BaselineSettings(model=name, drop_path=drop_path)
            arguments = BaselineData.arguments(data, asked) | SIZES[name]["small"]
            model = build_baseline(name, **arguments)
            drops = [m.p for m in model.modules() if isinstance(m, StochasticDepth)]
            assert max(drops) == pytest.approx(published if drop_path < 0 else drop_path)


@pytest.mark.parametrize("given", [{"drop_path": 0.1}, {"layer_decay": 0.8, "model": "dscnet"}])
def test_what_a_network_does_not_have_is_refused(given):
    name = next(iter(given))
    with pytest.raises(ValueError, match=f"{name}: .*; leave it at"):
        BaselineSettings(**given)
