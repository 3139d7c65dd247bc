"""MAMP and VideoMAE: outputs, masks, losses and gradients of the published code; missing joints."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.ops import StochasticDepth

from imigue_lab.data.clips import ClipDataset
from imigue_lab.data.skeletons.augment import random_turn_3d
from imigue_lab.models.checkpoints.registry import FAMILIES, load_published
from imigue_lab.models.mamp import (
    MotionPredictor,
    build_mamp,
    motion_of,
    motion_of_segments,
    resized_times,
    together,
)
from imigue_lab.models.pictures.videomae import build_videomae, cell_mask, patches_of, tube_mask
from tests.models.recordings import made_weights, read_recording

SMALL = {"joints": 5, "frames": 16, "width": 16, "depth": 2, "heads": 2}
PREDICTOR = SMALL | {"decoder_width": 8, "decoder_depth": 1}
PAINTER = {"clip": (4, 16, 16), "patch": 4, "width": 16, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def recorded(shared):
    return lambda name: read_recording(shared / "fixtures/pretraining", name)


def gradient_norms(model: nn.Module, family: str, published: list[str]) -> Tensor:
    """In the order of the published parameters; attention has one bias here, two there."""
    norms = []
    for key in published:
        part = {"q_bias": 0, "v_bias": 2}.get(key.rpartition(".")[2])
        whole = key if part is None else f"{key.rpartition('.')[0]}.qkv.bias"
        gradient = model.get_parameter(FAMILIES[family].rename(whole)).grad
        norms.append((gradient if part is None else gradient.chunk(3)[part]).norm())
    return torch.stack(norms)


def as_persons(arrays: dict[str, Tensor]) -> Tensor:
    return arrays["input"].permute(0, 4, 2, 3, 1)


class Angles(np.random.RandomState):
    """A source of random numbers that are known."""

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        assert size == len(self.angles) and (abs(self.angles) <= high).all() and low == -high
        return self.angles


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mamp_pretrain_v22", "mamp_pretrain_v25"])
def test_motion_is_masked_and_predicted_as_published(recorded, name):
    facts, arrays = recorded(name)
    model = load_published({"model": made_weights(facts["state_dict"])}, "mamp", heads=4)
    skeletons = as_persons(arrays).flatten(0, 1)
    found = model(skeletons, arrays["noise_u"])
    motion = motion_of_segments(skeletons, torch.ones_like(skeletons[..., 0], dtype=torch.bool))
    kept = model.keep(motion, arrays["noise_u"])
    assert kept.equal(arrays["ids_keep"])
    assert found.counted.all(dim=-1).equal(arrays["mask"].bool())
    near = facts["tolerance"]["float32"]
    tokens = model.encoder.tokens(skeletons)
    assert_close(tokens[:, :8], arrays["tokens_first8"], **near)
    latent = model.encoder(tokens.take_along_dim(kept[..., None], 1))
    assert_close(latent, arrays["latent"], **near)
    assert_close(found.target, arrays["target"], **near)
    assert_close(found.predicted, arrays["pred"], **near)
    assert_close(found.loss[None], arrays["loss"], **near)
    exact = model.double()(skeletons.double(), arrays["noise_u"].double())
    exact.loss.backward()
    exactly, masked = facts["tolerance"]["float64"], arrays["mask"].bool()
    for own, name in ((exact.predicted, "pred"), (exact.target, "target")):
        assert_close(own[masked][:16], arrays[f"{name}_masked_first16_f64"], **exactly)
    tokens = model.encoder.tokens(skeletons.double())
    latent = model.encoder(tokens.take_along_dim(kept[..., None], 1))
    assert_close(latent[:, :4], arrays["latent_first4_f64"], **exactly)
    assert_close(exact.loss[None], arrays["loss_f64"], **exactly)
    norms = gradient_norms(model, "mamp", facts["parameters"])
    assert_close(norms, arrays["grad_norms_f64"], rtol=1e-6, atol=1e-9)
    model.ratio = 0.0  # keeps all, in the order of their scores
    assert model.keep(motion, arrays["noise_u"]).argsort(dim=1).equal(arrays["ids_restore"])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mamp_finetune_v22", "mamp_finetune_v25"])
def test_a_finetuned_mamp_gives_the_published_logits_and_gradients(recorded, name):
    facts, arrays = recorded(name)
    model = load_published(made_weights(facts["state_dict"]), "mamp", heads=4)
    near = facts["tolerance"]["float32"]
    assert_close(model(as_persons(arrays)), arrays["logits"], **near)
    found = model.tokens(as_persons(arrays))
    assert_close(found[:, :, ::6], arrays["tokens"], **near)
    longer, own = arrays["interp_temp_embed_in"], arrays["interp_temp_embed_out"]
    assert_close(resized_times(longer, own.shape[1]), own, **near)
    exactly, skeletons = facts["tolerance"]["float64"], as_persons(arrays).double()
    tokens = model.double().encoder.tokens(skeletons.flatten(0, 1))
    for block, expected in zip(model.encoder.blocks, arrays["block_stats"], strict=True):
        tokens = block(tokens)
        stats = tokens.mean(), tokens.std(correction=0), tokens.abs().max()
        assert_close(torch.stack(stats), expected, **near)  # recorded in float32
    assert_close(model.encoder.norm(tokens)[:, :8], arrays["tokens_first8_f64"], **exactly)
    assert_close(model(skeletons), arrays["logits_f64"], **exactly)
    for part in model.modules():
        if isinstance(part, nn.Dropout | StochasticDepth):
            part.p = 0.0
    model.train()
    logits = model(skeletons)
    assert_close(logits, arrays["train_logits_f64"], **exactly)
    loss = F.cross_entropy(logits, torch.arange(len(logits)), label_smoothing=0.1)
    loss.backward()
    assert_close(loss[None], arrays["train_loss_smooth01_f64"], **exactly)
    norms = gradient_norms(model, "mamp", facts["parameters"])
    assert_close(norms, arrays["train_grad_norms_f64"], rtol=1e-6, atol=1e-9)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "family"),
    [("videomae_pretrain", "videomae"), ("videomaev2_pretrain_dual", "videomae-v2")],
)
def test_patches_are_painted_as_published(recorded, name, family):
    facts, arrays = recorded(name)
    video, masked = arrays["input"], arrays["mask"].bool()
    skipped = arrays["decode_mask"].bool() if "decode_mask" in arrays else None
    heads = {"heads": 3, "decoder_heads": 3, "clip": video.shape[2:]}
    model = load_published({"module": made_weights(facts["state_dict"])}, family, **heads)
    near = facts["tolerance"]["float32"]
    found = model(video, masked, skipped)
    assert_close(model.encoder.positions[0], arrays["encoder_pos_embed"], **near)
    assert_close(model.positions[0], arrays["decoder_pos_embed"], **near)
    tokens = model.encoder.tokens(video) - model.encoder.positions
    assert_close(tokens[:, :8], arrays["patch_tokens_first8"], **near)
    assert_close(model.encode(video, masked), arrays["latent"], **near)
    assert_close(found.predicted, arrays["pred"], **near)
    assert_close(found.target, arrays["target"], **near)
    assert_close(found.loss[None], arrays["loss"], **near)
    exactly, exact = facts["tolerance"]["float64"], model.double()(video.double(), masked, skipped)
    latent = model.encode(video.double(), masked)
    assert_close(latent[:, :4], arrays["latent_first4_f64"], **exactly)
    for own, name in ((exact.predicted, "pred"), (exact.target, "target")):
        assert_close(own[:, :8, ::4], arrays[f"{name}_first8_f64"], **exactly)
    assert_close(exact.loss[None], arrays["loss_f64"], **exactly)
    exact.loss.backward()
    norms = gradient_norms(model, family, facts["parameters"])
    assert_close(norms, arrays["grad_norms_f64"], rtol=1e-6, atol=1e-9)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["videomae_vit", "videomaev2_vit"])
def test_a_finetuned_videomae_gives_the_published_logits_and_gradients(recorded, name):
    facts, arrays = recorded(name)
    model = load_published(
        *(made_weights(facts["state_dict"]), "videomae"), heads=3, clip=(8, 64, 64)
    )
    tokens = model.encoder.tokens(arrays["input"])
    assert_close(model(arrays["input"]), arrays["logits"], **facts["tolerance"]["float32"])
    assert_close((tokens - model.encoder.positions)[:, :8], arrays["patch_tokens_first8"])
    assert_close(model.encoder.positions[0], arrays["pos_embed"].view(-1, 48))
    near = facts["tolerance"]["float32"]
    assert_close(model.encoder.blocks[0](tokens), arrays["block0"], **near)
    last = model.tokens(arrays["input"]).flatten(1, 3)
    assert_close(last, arrays["block_last"], **near)
    assert_close(model.head[0](last.mean(dim=1)), arrays["features"], **near)
    exactly, video = facts["tolerance"]["float64"], arrays["input"].double()
    last, logits = model.double().tokens(video).flatten(1, 3), model(video)
    assert_close(last[:, :8], arrays["block_last_first8_f64"], **exactly)
    assert_close(model.head[0](last.mean(dim=1)), arrays["features_f64"], **exactly)
    assert_close(logits, arrays["logits_f64"], **exactly)
    loss = F.cross_entropy(logits, torch.arange(len(logits)))
    loss.backward()
    assert_close(loss[None], arrays["loss_f64"], **exactly)
    norms = gradient_norms(model, "videomae", facts["parameters"])
    assert_close(norms, arrays["grad_norms_f64"], rtol=1e-6, atol=1e-9)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["videomae_masks", "videomaev2_masks"])
def test_masks_of_video_equal_the_published_draws(recorded, name):
    facts, arrays = recorded(name)
    for case in facts["cases"]:
        grid, rng = case["input_size"], np.random.RandomState(case["np_random_seed"])
        if case["kind"] == "tube":
            drawn = [tube_mask(grid, case["mask_ratio"], rng) for _ in range(case["calls"])]
        elif case["kind"] == "running cell":
            drawn = [cell_mask(grid, case["mask_ratio"], start) for start in case["draws"]]
            every = [cell_mask(grid, case["mask_ratio"], start) for start in range(4)]
            published = arrays[f"{case['array']}_all"].flatten(1).bool().numpy()
            assert np.array_equal(every, published)
        else:  # each token for itself: a single time has them all
            grid = (1, grid[0] * grid[1], grid[2])
            drawn = [tube_mask(grid, case["mask_ratio"], rng) for _ in range(case["calls"])]
        expected = arrays[case["array"]].flatten(1).bool().numpy()
        assert np.array_equal(drawn, expected)


@pytest.mark.shared
def test_clips_are_cut_resized_and_rotated_as_published(recorded):
    facts, arrays = recorded("mamp_crop")
    near = facts["tolerance"]["float32"]
    for case in facts["cases"]:
        name, length, draws = f"case{case['index']}", case["valid_frame_num"], case["draws"]
        given = arrays[f"{name}_in"].permute(3, 1, 2, 0).numpy()
        low, *high = case["p_interval"]
        if high:  # at least 64 frames
            wanted = length * (low + (high[0] - low) * draws["uniform_p"])
            kept = min(max(int(wanted), 64), length)
            share, place, first = kept / length, draws["start"] / (length - kept + 1), 0
        else:  # the middle
            share, place, first = 1.0, 0.0, int((1 - low) * length / 2)
        row = {"clip_id": "c", "video_id": "v", "start": first, "end": length - 1 - first}
        clips = pd.DataFrame([row | {"label": 0}])
        whole = ClipDataset(clips, {"v": given}.__getitem__, case["window"], axes=3)
        found = whole.part(0, share + 1e-9, place + 1e-9).skeleton
        assert_close(found.permute(3, 1, 2, 0), arrays[f"{name}_out"], **near)
    for name in ("rot0", "rot1"):
        given = arrays[f"{name}_in"].permute(3, 1, 2, 0).numpy()
        rng = Angles(0)
        rng.angles = arrays[f"{name}_angles"].numpy()
        found = random_turn_3d(given, rng, 0.3)
        expected = arrays[f"{name}_out"].permute(3, 1, 2, 0)
        assert_close(torch.from_numpy(found), expected, **near)


def test_a_missing_joint_has_neither_motion_nor_loss():
    torch.manual_seed(0)
    model = MotionPredictor(**PREDICTOR, channels=3, axes=2).eval()
    skeletons, uniform = torch.randn(2, 16, 5, 3), torch.rand(2, 20)
    seen = torch.ones(2, 16, 5, dtype=torch.bool)
    seen[:, :, 3] = False
    assert motion_of_segments(skeletons[..., :2], seen).view(2, 4, 5)[..., 3].eq(0).all()
    motion = motion_of(skeletons[..., :2], seen)
    assert not motion.known.view(2, 4, 5, 8)[..., 3, :].any()
    assert motion.normalised.shape == (2, 20, 8)
    found = model(skeletons, uniform, seen)
    kept = model.keep(motion_of_segments(skeletons[..., :2], seen), uniform)
    counted = torch.ones(2, 20, dtype=torch.bool).scatter(1, kept, False).view(2, 4, 5)
    counted[..., 3] = False
    error = ((found.predicted - found.target) ** 2).mean(-1).view(2, 4, 5)
    assert_close(found.loss, error[counted].mean())
    clips = found.errors(found.predicted, 2)
    assert_close(clips[0], error[0][counted[0]].mean())
    seen[1, 8:] = False  # with fewer numbers, a clip counts as much as another
    halves = [model(skeletons[n : n + 1], uniform[n : n + 1], seen[n : n + 1]) for n in (0, 1)]
    whole = model(skeletons, uniform, seen)
    assert_close(whole.errors(whole.predicted, 2), torch.stack([own.loss for own in halves]))
    assert abs(whole.loss - whole.errors(whole.predicted, 2).mean()) > 1e-3


def test_joints_of_a_group_are_masked_together():
    motion, uniform = torch.rand(3, 20), torch.rand(3, 20)
    model = MotionPredictor(**PREDICTOR, groups=[0, 0, 1, 1, 1], ratio=0.5)
    kept = model.keep(motion, uniform)
    shared = [x.view(3, 4, 5) for x in together(motion, uniform, torch.tensor([0, 0, 1, 1, 1]))]
    for own in shared:
        assert own[..., 0].equal(own[..., 1]) and own[..., 2].equal(own[..., 4])
    for clip in kept.tolist():
        groups = {}
        for token in clip:
            groups.setdefault((token // 5, token % 5 >= 2), []).append(token)
        whole = [len(tokens) == (3 if late else 2) for (_, late), tokens in groups.items()]
        assert sum(not w for w in whole) <= 1  # only the last one may be cut


def test_the_encoder_sees_the_visible_alone():
    """Whatever a masked place holds, the prediction stays."""
    torch.manual_seed(0)
    painter = build_videomae(**PAINTER, decoder_width=8, decoder_depth=1, decoder_heads=2).eval()
    video = torch.randn(1, 3, 4, 16, 16)
    masked = torch.from_numpy(tube_mask((2, 4, 4), 0.75, np.random.RandomState(0)))[None]
    row, column = divmod(int(masked[0, :16].nonzero()[0]), 4)
    changed = video.clone()
    changed[:, :, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 9.0
    before, after = painter(video, masked), painter(changed, masked)
    assert before.predicted.equal(after.predicted)
    assert not before.target.equal(after.target)


def test_contrast_lessens_the_noise_of_an_even_patch_and_keeps_its_edges():
    torch.manual_seed(0)
    video = 0.01 * torch.randn(1, 3, 2, 8, 16)  # left an even wall, right an edge
    video[..., 12:] += 2.0
    published, lessened = (patches_of(video, 8, contrast) for contrast in (0.0, 0.1))
    assert_close(published.normalised.std(dim=2), torch.ones(1, 2), rtol=0.01, atol=0.01)
    wall, edge = lessened.normalised.std(dim=2)[0]
    assert wall < 0.05 and edge > 0.5
    pixels = [p.normalised.unflatten(2, (-1, 3)) * p.deviation for p in (published, lessened)]
    assert_close(*pixels)


def test_fine_tuning_takes_over_the_whole_encoder_and_nothing_else():
    pairs = [
        (build_mamp(**PREDICTOR), build_mamp(7, **SMALL, hidden=8)),
        (build_videomae(**PAINTER), build_videomae(7, **PAINTER)),
    ]
    for pretrained, classifier in pairs:
        own, theirs = classifier.state_dict(), pretrained.state_dict()
        new = [key for key in own if key not in theirs or theirs[key].shape != own[key].shape]
        assert new and all(key.startswith("head.") for key in new)
