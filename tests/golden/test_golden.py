"""Every published family has the logits for which its outputs equalled the original's."""

import json

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.checkpoints.registry import FAMILIES
from tests.golden.recipe import LOGITS, STORED, logits

GOLDEN = json.loads(STORED.read_text())


def test_every_family_has_stored_logits():
    assert list(GOLDEN) == list(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_unchanged(family):
    stored = torch.tensor(GOLDEN[family], dtype=torch.float64)
    assert stored.shape == (2, LOGITS)
    assert 0.01 < stored.std() < 1000  # otherwise an error would not show
    assert (stored[0] - stored[1]).abs().max() > 5e-4
    assert_close(logits(family), stored, rtol=1e-6, atol=1e-6)
