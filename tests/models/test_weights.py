"""Weights of the encoders: untrained ones are reproducible, files are identified."""

from urllib.error import URLError

import pytest
import torch
from torch.testing import assert_close
from torchvision.models.video import MViT_V2_S_Weights

from imigue_lab.errors import DataError
from imigue_lab.models.pictures.mvit import build_mvit
from imigue_lab.models.swinface import build_swinface
from imigue_lab.models.weights import load_mvit, load_swinface, untrained

# Fingerprints of features hold these: a change makes every untrained store anew.
DIGESTS = {"mvit": "a729ae41", "swinface": "7112fe47"}
FIRST = {
    "mvit": [-0.03036368452012539, -0.023797975853085518],
    "swinface": [0.0985080897808075, 0.009088873863220215],
}


def download(monkeypatch, outcome):
    """Stands in for torchvision's download; the tests have no network."""

    def get_state_dict(self, **_):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(MViT_V2_S_Weights, "get_state_dict", get_state_dict)


@pytest.mark.parametrize("drawn", [0, 3])
def test_untrained_weights_are_the_same_in_every_process(drawn):
    torch.rand(drawn)
    before = torch.get_rng_state()
    (mvit, of_mvit), (face, of_face) = load_mvit(size="tiny"), load_swinface(size="tiny")
    assert torch.equal(torch.get_rng_state(), before)
    assert mvit.net.conv_proj.weight.flatten()[:2].tolist() == FIRST["mvit"]
    assert face.backbone.patch_embed.proj.weight.flatten()[:2].tolist() == FIRST["swinface"]
    assert {"mvit": of_mvit.digest, "swinface": of_face.digest} == DIGESTS


def test_untrained_weights_are_marked():
    for model, weights in (load_mvit(size="tiny"), load_swinface(size="tiny")):
        assert (weights.name, weights.trained) == ("untrained", False)
        assert not model.training


def test_another_seed_gives_other_weights():
    first, second = (untrained(lambda: build_swinface("tiny"), seed=seed)[1] for seed in (0, 1))
    assert first.digest != second.digest


def test_untrained_features_keep_their_scale_and_differ_between_pictures():
    generator = torch.Generator().manual_seed(0)
    faces = torch.rand(8, 3, 56, 56, generator=generator) * 2 - 1
    with torch.inference_mode():
        features = load_swinface(size="tiny")[0](faces)
    assert 0.1 < features.std() < 10
    assert torch.pdist(features).min() > 0.05 * features.norm(dim=1).mean()


@pytest.mark.parametrize("kind", ["torchvision", "own"])
def test_a_file_of_the_same_weights_has_their_digest_and_outputs(kind, tmp_path):
    model, weights = load_mvit(size="tiny")
    path = tmp_path / "weights.pth"
    torch.save((model.net if kind == "torchvision" else model).state_dict(), path)
    again, described = load_mvit(str(path), size="tiny")
    assert (described.digest, described.name) == (weights.digest, str(path))
    assert described.trained
    frames = torch.randn(1, 3, 16, 64, 64)
    assert_close(again(frames).pooled, model(frames).pooled)
    assert not again.training


def test_one_changed_number_changes_the_digest(tmp_path):
    model, weights = load_swinface(size="tiny")
    with torch.no_grad():
        model.backbone.norm.bias[3] += 1e-6
    torch.save(model.state_dict(), tmp_path / "face.pt")
    assert load_swinface(str(tmp_path / "face.pt"), size="tiny")[1].digest != weights.digest


def test_kinetics400_comes_by_name(monkeypatch):
    torch.manual_seed(0)
    published = build_mvit("tiny")
    download(monkeypatch, published.net.state_dict())
    model, weights = load_mvit("kinetics400", size="tiny")
    assert (weights.name, weights.trained) == ("kinetics400", True)
    assert_close(model.net.norm.weight, published.net.norm.weight)


@pytest.mark.parametrize(
    "failure",
    [URLError("no route to host"), RuntimeError("invalid hash value"), TimeoutError("timed out")],
    ids=["no network", "another file", "slow"],
)
def test_a_failed_download_names_the_file_and_the_workaround(failure, monkeypatch):
    download(monkeypatch, failure)
    with pytest.raises(DataError) as caught:
        load_mvit("kinetics400")
    sentence = str(caught.value)
    assert "https://download.pytorch.org/models/mvit_v2_s-ae3be167.pth" in sentence
    assert "give the file's path" in sentence
    assert "\n" not in sentence


def test_files_of_another_size_or_encoder_are_refused(tmp_path):
    torch.save(load_mvit(size="tiny")[0].state_dict(), tmp_path / "mvit.pt")
    with pytest.raises(DataError, match="are missing"):
        load_mvit(str(tmp_path / "mvit.pt"))
    with pytest.raises(DataError, match="not a checkpoint of swinface"):
        load_swinface(str(tmp_path / "mvit.pt"), size="tiny")
