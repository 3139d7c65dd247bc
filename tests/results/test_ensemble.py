"""All streams of one network: a run each, fused by weights that are published or out of fold."""

import numpy as np
import pytest

from imigue_lab.app import main
from imigue_lab.errors import SettingsError
from imigue_lab.results.ensemble import train_streams
from imigue_lab.results.fuse import fusion_table, weigh
from imigue_lab.results.open import fold_runs, pooled
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.runs import find_run
from imigue_lab.training.scores import probabilities

STREAMS = ["joint", "bone", "joint_motion", "bone_motion"]


@pytest.fixture
def settings_of(synthetic):
    def build(**given):
        tiny = {"model": "st-gcn++", "epochs": 1, "frames": 4, "batch_size": 128}
        return BaselineSettings.from_arguments({"data": str(synthetic), **tiny, **given})

    return build


def test_a_network_is_trained_on_each_stream_and_fused_by_the_published_weights(
    settings_of, synthetic, capsys
):
    words = "train baseline --stream all --model st-gcn++ --epochs 1 --frames 4 --batch-size 128"
    words = [*words.split(), "--data", str(synthetic), "--fold", "1", "--name", "four"]
    main(words)
    run = find_run("four")
    out = capsys.readouterr().out
    assert f"run: {run.folder}\n" in out
    assert "note: streams are fused by the published weights 2:2:1:1; weights=folds fits own" in out
    members = [find_run(f"four-{stream}") for stream in STREAMS]
    for member, stream in zip(members, STREAMS, strict=True):
        kept = member.settings()["settings"]
        assert (kept["stream"], kept["fold"]) == (stream, 1)
    each = [probabilities(m.predictions().sort_values("clip_id")) for m in members]
    mean = np.average(each, axis=0, weights=[2, 2, 1, 1])
    np.testing.assert_allclose(probabilities(run.predictions()), mean, atol=1e-6)

    main(words)
    out = capsys.readouterr().out
    assert out.count("already finished: ") == 5 and "points over four-" in out
    again, networks = train_streams(settings_of(stream="all", fold=1, name="four"))
    assert (again, networks) == (run, members)


def test_one_command_also_trains_the_folds_that_give_the_weights(synthetic, capsys):
    words = "--model poseconv3d --stream all --weights folds --epochs 1 --frames 2 --batch-size 64"
    main(["train", "baseline", "--data", str(synthetic), *words.split(), "--name", "fitted"])
    assert "points over fitted-" in capsys.readouterr().out
    run = find_run("fitted")
    assert run.settings()["settings"]["weights"] == "folds"
    members = [find_run(f"fitted-{stream}") for stream in STREAMS[:2]]
    folds = [[own.folder.name for own in fold_runs(member)] for member in members]
    assert run.provenance()["folds"] == folds and len({*folds[0], *folds[1]}) == 10
    table = fusion_table(run)
    known = run.predictions().split != "test"
    assert table.n[table.split == "out of fold"].tolist() == [known.sum()] * 2
    shares, _ = weigh("folds", pooled([fold_runs(member) for member in members]))
    assert table.weight[table.split == "test"].tolist() == shares.tolist()
    one, other = (m.predictions().sort_values("clip_id") for m in members)
    mean = np.average([probabilities(one), probabilities(other)], axis=0, weights=shares)
    np.testing.assert_allclose(probabilities(run.predictions()), mean, atol=1e-6)


@pytest.mark.parametrize("given", [{}, {"stream": "all", "fold": 0}])
def test_folds_weigh_all_streams_of_the_official_split_alone(settings_of, given):
    with pytest.raises(SettingsError, match=r"weights: expected stream=all and the official split"):
        settings_of(weights="folds", **given)


def test_without_a_name_the_fusion_and_its_members_are_named_by_their_settings(settings_of):
    settings = settings_of(stream="all", refit=True)
    run, networks = train_streams(settings)
    assert run.folder.name.startswith("fusion-")
    assert all(own.settings()["settings"]["refit"] for own in networks)
    assert set(fusion_table(run).split) == {"test"}
    one, networks = train_streams(settings_of(refit=True))
    assert networks == [one] and one.folder.name.startswith("baseline-")


@pytest.mark.parametrize(
    ("model", "streams"),
    [("ctr-gcn", STREAMS), ("poseconv3d", STREAMS[:2]), ("rgbpose-conv3d", STREAMS[:2])],
)
def test_all_are_those_that_the_network_reads(model, streams):
    assert list(BaselineSettings(model=model, stream="all").streams) == streams


@pytest.mark.parametrize("model", ["tsm", "dscnet"])
def test_a_network_of_one_stream_has_no_others(settings_of, model):
    with pytest.raises(SettingsError, match=f"stream: {model} reads RGB.*; choose joint$"):
        settings_of(model=model, stream="all")


def test_one_run_is_of_one_stream(settings_of):
    with pytest.raises(SettingsError, match="stream: expected one stream, got all"):
        train_baseline(settings_of(stream="all"))
