"""A run that starts from a finished one: what is taken over, what is new, and no leak."""

import shutil

import pytest
import torch

from imigue_lab.app import main
from imigue_lab.errors import DataError, RunError
from imigue_lab.results.published_tables import table_one
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.start import identity_of_start, read_start
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.leaks import read_record
from imigue_lab.training.runs import Run, find_run
from tests.training.test_own_classes import NAMES, write_root

GCN = {"model": "ctr-gcn", "frames": 8, "epochs": 1}


def trained(**given):
    return train_baseline(BaselineSettings.from_arguments(GCN | given))


def remark_of(run):
    (remark,) = (r for r in run.provenance()["remarks"] if r.startswith("started from"))
    return remark


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run on sixty clips of twelve classes of other data."""
    root = write_root(tmp_path_factory.mktemp("source") / "talks")
    return trained(data=str(root), name="source-gcn"), root


def test_other_classes_have_a_new_head_and_run_table_and_card_say_so(source, synthetic, capsys):
    words = ["train", "baseline", "--model", "ctr-gcn", "--checkpoint", "source-gcn"]
    main([*words, "--data", str(synthetic), "--frames", "8", "--epochs", "1", "--name", "moved"])
    said = "the head is new (12 classes there, 32 here)"
    assert said in capsys.readouterr().out
    run = find_run("moved")
    assert remark_of(run).startswith("started from source-gcn (ctr-gcn): ")
    assert said in remark_of(run) and "joints" not in remark_of(run)
    assert "ctr-gcn, joint, small size, from source-gcn" in table_one([run]).method.tolist()
    taken = read_start("source-gcn", "ctr-gcn", None, {}).state
    assert all(torch.equal(v, source[0].load_weights("best")[k]) for k, v in taken.items())


def test_the_same_classes_keep_the_head_and_other_weights_are_another_run(source, tmp_path):
    run, _ = source
    root = write_root(tmp_path / "talks")
    for path in root.glob("keypoints/*.npy"):  # other people, of the same classes
        path.rename(path.with_name(path.name.replace("talk", "other")))
    for name in ("videos.csv", "clips.csv"):
        (root / name).write_text((root / name).read_text().replace("talk", "other"))
    again = trained(data=str(root), checkpoint=str(run.folder))
    assert "new" not in remark_of(again)
    identity = identity_of_start(run.folder.name)
    assert identity == {"checkpoint": run.weights_digest()}
    assert again.settings()["data"]["checkpoint"] == run.weights_digest()
    assert again.folder != trained(data=str(root)).folder


def test_of_other_joints_what_depends_on_them_is_new(source, plain, synthetic):
    run = trained(data=str(synthetic), keypoints="body25", checkpoint="source-gcn")
    assert "are new, of other joints or persons" in remark_of(run)


def test_another_network_or_size_and_a_missing_run_are_refused(source):
    with pytest.raises(RunError, match="model is 'ctr-gcn', expected 'aagcn'; choose another run"):
        read_start("source-gcn", "aagcn", None, {})
    with pytest.raises(RunError, match="expected a run of ctr-gcn, got 2 runs; name as many"):
        read_start("source-gcn,source-gcn", "ctr-gcn", None, {})
    with pytest.raises(RunError, match="nobody: no finished run; there are: "):
        read_start("nobody", "ctr-gcn", None, {})
    large = {"data": str(source[1]), "size": "paper", "checkpoint": "source-gcn"}
    with pytest.raises(DataError, match=r"source-gcn .*set size and frames to what it was"):
        trained(**large)


def test_a_start_that_saw_what_is_held_out_is_refused_also_through_another(source, tmp_path):
    _, root = source
    shifted = shutil.copytree(root, tmp_path / "shifted")
    videos = (shifted / "videos.csv").read_text()
    (shifted / "videos.csv").write_text(videos.replace("talk0,train", "talk0,test"))
    for start in ("source-gcn", str(source[0].folder)):
        with pytest.raises(RunError, match=r"run 'source-gcn', .* trained on 6 of these clips"):
            trained(data=str(shifted), checkpoint=start)
    other = write_root(tmp_path / "talks", [f"{name} there" for name in NAMES])
    for name in ("videos.csv", "clips.csv"):
        (other / name).write_text((other / name).read_text().replace("talk", "there"))
    for path in other.glob("keypoints/*.npy"):
        path.rename(path.with_name(path.name.replace("talk", "there")))
    between = trained(data=str(other), checkpoint="source-gcn", name="between")
    assert read_record(between).own.tolist() == [True] * 36 + [False] * 36
    with pytest.raises(RunError, match=r"checkpoint: .* run 'between', which or whose start"):
        trained(data=str(shifted), checkpoint="between")
    own = trained(data=str(root), checkpoint="source-gcn")
    assert isinstance(own, Run) and "new" not in remark_of(own)


def test_rgbpose_starts_from_runs_of_its_halves(filmed):
    given = {"data": str(filmed), "epochs": 1, "batch_size": 8}
    for model, frames in (("slowonly", 2), ("poseconv3d", 8)):
        trained(**given, model=model, frames=frames, name=f"half-{model}")
    halves = "half-slowonly,half-poseconv3d"
    run = trained(**given, model="rgbpose-conv3d", frames=2, checkpoint=halves)
    assert remark_of(run).startswith(
        "started from half-slowonly and half-poseconv3d (slowonly and poseconv3d): "
    )
    assert "14 are new, of the exchange between both" in remark_of(run)
    assert "the head is new" not in remark_of(run)
    assert any("half-slowonly: started from random" in r for r in run.provenance()["remarks"])
    state = read_start(halves, "rgbpose-conv3d", None, run.read_checkpoint("best")["arguments"])
    assert state.same_joints is False  # pictures alone have none
    rgb = find_run("half-slowonly").load_weights("best")
    wider = state.state["rgb.stages.2.0.squeeze.0.weight"]
    narrow = rgb["stages.2.0.squeeze.0.weight"]
    assert (
        torch.equal(wider[:, : narrow.shape[1]], narrow) and not wider[:, narrow.shape[1] :].any()
    )
    with pytest.raises(RunError, match="or runs of slowonly and poseconv3d, got 3 runs"):
        read_start(f"{halves},half-slowonly", "rgbpose-conv3d", None, {})
