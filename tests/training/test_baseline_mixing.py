"""Mixup and cutmix follow their equations, whatever the number of processes and passes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from imigue_lab.training.baselines.clips import (
    Mixing,
    SkeletonClips,
    mix_joints,
    mix_labels,
    mix_maps,
    training_batches,
)
from imigue_lab.training.baselines.data import load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import cross_entropy
from imigue_lab.training.ranks import ALONE, Ranks


def shares(*values):
    """Of pairs with these λ."""
    return torch.tensor(values).repeat_interleave(2)[:, None, None]


def drawn(mixup=0.0, cutmix=0.0, pairs=200, side=8):
    rngs = [np.random.RandomState(n) for n in range(pairs)]
    return Mixing(mixup, cutmix, side).draw(rngs, 2 * pairs)


def test_mixup_mixes_maps_and_labels_of_neighbours():
    x, label, own = torch.rand(4, 3, 2, 5, 6), torch.tensor([2, 0, 1, 1]), shares(0.7, 0.4)
    mixed, y = mix_maps(x, own), mix_labels(label, own, 3)
    assert_close(mixed[0], 0.7 * x[0] + 0.3 * x[1])
    assert_close(mixed[1], 0.7 * x[1] + 0.3 * x[0])
    assert_close(mixed[3], 0.4 * x[3] + 0.6 * x[2])
    assert_close(y, torch.tensor([[0.3, 0, 0.7], [0.7, 0, 0.3], [0, 1, 0], [0, 1, 0]]))


def test_a_last_clip_without_a_pair_stays_as_it_is():
    own, x = drawn(mixup=0.8, pairs=2)[:3], torch.rand(3, 1, 4, 4)
    assert_close(mix_maps(x, own)[2], x[2])
    assert mix_labels(torch.tensor([0, 1, 1]), own, 2)[2].tolist() == [0, 1]


def test_cutmix_takes_a_box_of_all_frames_and_as_much_of_the_label():
    x, own = torch.stack([torch.zeros(3, 2, 8, 8), torch.ones(3, 2, 8, 8)]), torch.ones(2, 8, 8)
    own[:, 1:4, 2:4] = 0
    mixed = mix_maps(x, own)
    assert mixed[0, :, :, 1:4, 2:4].eq(1).all() and mixed[0].sum() == 6 * 6
    assert mixed[1, :, :, 1:4, 2:4].eq(0).all() and mixed[1].sum() == 6 * (64 - 6)
    y = mix_labels(torch.tensor([0, 1]), own, 2)
    assert_close(y[0], torch.tensor([1 - 6 / 64, 6 / 64]))


def test_a_drawn_box_is_of_the_drawn_size_and_of_both_clips_of_a_pair():
    own = drawn(cutmix=1.0, side=32)
    assert own.shape == (400, 32, 32) and set(own.unique().tolist()) == {0, 1}
    assert torch.equal(own[::2], own[1::2])
    rows, columns = (own == 0).any(dim=2).sum(dim=1), (own == 0).any(dim=1).sum(dim=1)
    assert torch.equal((own == 0).sum(dim=(1, 2)), rows * columns)
    share = own.mean(dim=(1, 2))
    assert share.min() < 0.3 and share.max() > 0.9


def test_shares_are_of_a_beta_distribution_and_both_ways_are_as_frequent():
    own = drawn(mixup=0.4, pairs=2000)
    assert own.mean().item() == pytest.approx(0.5, abs=0.03)
    assert own.var().item() == pytest.approx(1 / (4 * 1.8), abs=0.01)  # 1 / (4 (2 α + 1))
    cut = (drawn(0.4, 1.0, pairs=2000, side=4) == 0).any(dim=(1, 2))
    assert 0.3 < cut.float().mean() < 0.5  # half of the pairs, less those with an empty box


def test_a_joint_that_one_clip_lacks_is_where_the_other_has_it():
    a, b = torch.tensor([[2.0, 4.0, 1.0]]), torch.tensor([[4.0, 0.0, 0.5]])
    missing = torch.zeros(1, 3)
    x = torch.stack([torch.cat([a, a, missing, missing]), torch.cat([b, missing, b, missing])])
    mixed = mix_joints(x, shares(0.75), axes=2)
    assert_close(mixed[0, 0], torch.tensor([2.5, 3.0, 0.875]))  # both: plain mixup
    assert_close(mixed[0, 1], torch.tensor([2.0, 4.0, 0.75]))  # only here: less certain
    assert_close(mixed[0, 2], torch.tensor([4.0, 0.0, 0.125]))  # only there
    assert not mixed[:, 3].any()
    space = mix_joints(x, shares(0.75), axes=3)
    assert_close(space[0, 0], 0.75 * a[0] + 0.25 * b[0])
    assert_close(space[0, 1], a[0])


def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses():
    class Streams(torch.nn.Module):
        streams = {name: torch.nn.Linear(5, 3) for name in "ab"}

        def forward(self, x):
            return tuple(stream(x) for stream in self.streams.values())

    model, x, label = Streams(), torch.rand(2, 5), torch.tensor([0, 2])
    y = mix_labels(label, shares(0.7), 3)
    expected = [cross_entropy(model, (x,), own, 0.1) for own in (label, label.flip(0))]
    assert_close(cross_entropy(model, (x,), y, 0.1), 0.7 * expected[0] + 0.3 * expected[1])
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    assert_close(
        cross_entropy(torch.nn.Identity(), (logits,), torch.tensor([[0.0, 0.0, 1.0]]), 0.1),
        F.cross_entropy(logits, torch.tensor([2]), label_smoothing=0.1),
    )


@pytest.fixture(scope="module")
def clips(synthetic):
    asked = BaselineSettings(data=str(synthetic), frames=0)  # batches are padded
    return load_baseline_data(asked).clips("train", asked, training=True)


def of_steps(clips, shares, epoch=2, seed=5):
    """Mixed skeletons of an epoch by clip, without padding, from the given processes."""
    found = []
    for ranks in shares:
        batches = training_batches(clips, 7, seed, 0.5, Mixing(0.8, 0.0, 1))
        for pieces in batches.steps(epoch, ranks):
            for batch, _ in pieces:
                skeleton, mask = clips.mixed(clips.enter(batch), batch.own)
                y = mix_labels(batch.label, batch.own, 32)
                for n, clip_id in enumerate(batch.clip_ids):
                    whole = skeleton[n, :, mask[n]]
                    assert not skeleton[n, :, ~mask[n]].any()
                    found.append((clip_id, whole.numpy().tobytes(), y[n].numpy().tobytes()))
    return sorted(found)


def test_mixtures_do_not_depend_on_the_number_of_processes_or_passes(clips):
    assert isinstance(clips, SkeletonClips)
    whole = of_steps(clips, [ALONE])
    assert of_steps(clips, [Ranks(0, 1, 3)]) == whole
    assert of_steps(clips, [Ranks(rank, 3, 2) for rank in range(3)]) == whole
    assert of_steps(clips, [ALONE], epoch=3) != whole


def test_cutmix_is_refused_where_there_are_no_pictures_alone():
    for model in ("ctr-gcn", "poseconv3d", "rgbpose-conv3d"):
        with pytest.raises(ValueError, match=f"cutmix: {model} sees .*set mixup"):
            BaselineSettings(model=model, cutmix=1.0)
