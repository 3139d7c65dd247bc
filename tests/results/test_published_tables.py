"""Table 1: published numbers and ours, each with its origin; synthetic scores are labelled so."""

import io
import shutil

import pandas as pd
import pytest

from imigue_lab.app import main
from imigue_lab.data.source import open_data
from imigue_lab.errors import RunError
from imigue_lab.results.fuse import fuse
from imigue_lab.results.published_tables import (
    CLIPS,
    PAPER,
    PUBLISHED_BASELINES,
    by_data,
    show_table,
    table_one,
    table_text,
    table_three,
    table_two,
)
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.runs import Run


@pytest.fixture(scope="module")
def runs(synthetic):
    data = load_gesture_data(open_data(str(synthetic)))
    given = {"data": str(synthetic), "model": "st-gcn", "epochs": 1, "frames": 8}
    streams = [
        train_baseline(
            BaselineSettings.from_arguments({**given, "stream": s, "name": f"t1-{s}"}), data
        )
        for s in ("joint", "bone")
    ]
    return [*streams, fuse([run.folder.name for run in streams], "2:1", name="t1-both")]


def test_published_scores_are_as_printed_without_n_or_interval(runs):
    table = table_one(runs).set_index("method")
    for method, score in (("st-gcn", 46.38), ("aagcn", 54.73), (PAPER, 62.87)):
        row = table.loc[method]
        assert (
            row["top-1 %"] == score
            and row[list(PUBLISHED_BASELINES)].to_dict() == PUBLISHED_BASELINES
        )
        assert row[["95 % interval", "n", "clusters", "majority class %"]].isna().all()
    assert "2s-agcn" not in table.index  # without a published number


def test_our_runs_follow_their_method_with_n_interval_and_source(runs):
    table = table_one(runs)
    place = int(table.index[table.method == "st-gcn"][0])
    ours = table.loc[place + 1 : place + 2]
    assert ours.method.tolist() == ["st-gcn, joint, small size", "st-gcn, bone, small size"]
    assert (ours.origin == "ours").all() and (ours.data == "synthetic, test").all()
    assert ours.source.tolist() == ["t1-joint", "t1-bone"]
    scores = runs[1].scores()
    model = scores[(scores.split == "test") & (scores.predictor == "model")].iloc[0]
    majority = scores[(scores.split == "test") & (scores.predictor != "model")].iloc[0]
    bone = ours.iloc[1]
    assert bone["top-1 %"] == 100 * model.top1 and bone["majority class %"] == 100 * majority.top1
    assert (bone.n, bone.clusters) == (model.n, f"{model.clusters} {model.unit}")
    low, high = (float(end) for end in bone["95 % interval"].split(" to "))
    assert low <= bone["top-1 %"] + 0.05 and bone["top-1 %"] - 0.05 <= high
    last = table.iloc[-1]
    assert last.method == "fusion (2:1) of t1-joint, t1-bone" and last.n == model.n
    validation = table_one(runs, "validation").iloc[-1]
    assert validation.data == "synthetic, validation" and validation.n != last.n


def test_a_run_without_a_labelled_test_has_dashes(runs, tmp_path):
    hidden = Run(tmp_path / "hidden")
    shutil.copytree(runs[0].folder, hidden.folder)
    scores = hidden.scores()
    hidden.write_scores(scores[scores.split == "validation"])
    published, apart = show_table(table_one([hidden])).values()
    ours = apart.set_index("method").loc["st-gcn, joint, small size"]
    assert (ours[["top-1 %", "95 % interval", "n", "majority class %"]] == "–").all()
    assert published.set_index("method").loc["st-gcn"]["top-1 %"] == "46.38"


def test_only_runs_on_the_published_clips_stand_beside_published_scores(runs, tmp_path):
    own = {name: Run(tmp_path / name / "run") for name in ("whole", "iMiGUE")}
    for name, run in own.items():
        shutil.copytree(runs[0].folder, run.folder)
        provenance = run.provenance() | {"synthetic": False}
        provenance["where"]["data"] = f"/data/{name}"
        run.write_json("provenance.json", provenance)
        scores = run.scores()
        run.write_scores(scores.assign(n=CLIPS - (name == "iMiGUE")))
    shown = show_table(table_one([*runs, *own.values()]))
    assert {title: len(table) for title, table in shown.items()} == {
        "Table 1 on iMiGUE, test": 14,
        "Runs on synthetic, test (not comparable with Table 1)": 3,
        "Runs on iMiGUE, test, other clips (not comparable with Table 1)": 1,
    }


def test_a_run_on_synthetic_data_says_so_after_its_folder_has_moved(looked, trained, synthetic):
    moved = synthetic.rename(synthetic.with_name("iMiGUE"))
    try:
        assert looked.run.synthetic and trained[0].synthetic
        assert table_one([looked.run]).iloc[-1].data == "synthetic, test"
        assert table_three([trained[0]]).iloc[-1].origin == "ours: test of synthetic"
    finally:
        moved.rename(synthetic)


def elsewhere(run, folder, root, n=None):
    """A copy of a run, as if trained on the root, with n test clips or interviews."""
    copy = Run(folder / run.folder.name)
    shutil.copytree(run.folder, copy.folder)
    provenance = run.provenance() | {"synthetic": False}
    provenance["where"]["data"] = root
    copy.write_json("provenance.json", provenance)
    if n:
        own, first = run.predictions().query("split == 'test'"), run.predictions().columns[0]
        own = own.loc[own.index.repeat(n // len(own) + 1)][:n].reset_index(drop=True)
        own[first] = own.index.astype(str)
        copy.write_predictions(own)
    return copy


def test_tables_two_and_three_of_other_data_are_apart_from_published_scores(
    looked, trained, tmp_path
):
    shown = by_data(table_two({"full": [looked.run]}), 2)
    assert {title: len(table) for title, table in shown.items()} == {
        "Table 2 on iMiGUE, test": 3,
        "Runs on synthetic, test (not comparable with Table 2)": 1,
    }
    assert all("data" not in table for table in shown.values())
    assert list(by_data(table_three([trained[0]]), 3)) == [
        "Table 3 on iMiGUE, test",
        "Runs on synthetic, test (not comparable with Table 3)",
    ]
    own = elsewhere(looked.run, tmp_path, "/data/copy", CLIPS)
    assert len(by_data(table_two({"full": [own]}), 2)["Table 2 on iMiGUE, test"]) == 4
    own = elsewhere(trained[0], tmp_path, "/data/copy", 104)
    assert len(by_data(table_three([own]), 3)["Table 3 on iMiGUE, test"]) == 15
    other = elsewhere(trained[0], tmp_path / "b", "/data/iMiGUE")
    assert list(by_data(table_three([other]), 3))[1].startswith(
        "Runs on iMiGUE, test, other interviews (not comparable"
    )


def test_two_roots_of_one_name_are_two_tables(runs, tmp_path):
    roots = "/first/recordings", "/second/recordings"
    own = [elsewhere(runs[0], tmp_path / str(n), root) for n, root in enumerate(roots)]
    titles = list(show_table(table_one([*own, runs[0]])))
    assert titles[1:] == [
        *(f"Runs on {root}, test (not comparable with Table 1)" for root in roots),
        "Runs on synthetic, test (not comparable with Table 1)",
    ]
    assert list(show_table(table_one(own[:1])))[1].startswith("Runs on recordings, test (")


def test_a_printed_table_fits_120_columns_and_names_each_source_once(runs, tmp_path):
    long = Run(tmp_path / ("long-" + 55 * "n"))
    shutil.copytree(runs[2].folder, long.folder)
    kept = long.settings()
    kept["settings"]["runs"] = ",".join(f"{stream}-{30 * 'm'}" for stream in "abcd")
    long.write_json("settings.json", kept)
    other = elsewhere(runs[1], tmp_path, f"/data/{200 * 'd'}")
    other = Run(other.folder.rename(tmp_path / (200 * "r")))
    printed = table_text(table_one([runs[0], long, other]))
    together = printed.replace("\n", "").replace(" ", "")
    assert f"Runson{200 * 'd'},test(not" in together and f"1:{200 * 'r'}" in together
    assert max(map(len, printed.splitlines())) <= 120
    assert printed.count("Martirosyan") == printed.count("t1-joint") == 1
    assert all(f"{stream}-{30 * 'm'}" in printed for stream in "abcd")


def test_tables_for_a_paper_have_the_same_rows_and_escape_names(runs, tmp_path):
    odd = Run(tmp_path / "odd")
    shutil.copytree(runs[0].folder, odd.folder)
    kept = odd.settings()
    kept["settings"]["stream"] = "a_b|<img>&\x1b[2J\n"
    odd.write_json("settings.json", kept)
    table = table_one([odd])
    for number, text in enumerate(table_text(table, "csv").split("\n\n")):
        found = pd.read_csv(io.StringIO(text))
        assert found["top-1 %"].notna().all() and len(found) == (13, 1)[number]
    assert r"a\_b|<img>\&?[2J?, small" in table_text(table, "latex")
    assert r"| st-gcn, a_b\|&lt;img&gt;&amp;?[2J?, small size | skeleton |" in table_text(
        table, "md"
    )


def test_the_majority_class_is_that_of_the_constant_predictor_not_of_a_head(runs, tmp_path):
    headed = Run(tmp_path / "headed")
    shutil.copytree(runs[0].folder, headed.folder)
    scores = headed.scores()
    head = scores[scores.predictor == "model"].assign(predictor="pose head", top1=0.99)
    headed.write_scores(pd.concat([scores, head]).sort_values("predictor", ascending=False))
    own, plain = (table_one([run]).set_index("source") for run in (headed, runs[0]))
    columns = ["top-1 %", "majority class %"]
    assert own.loc["headed", columns].tolist() == plain.loc["t1-joint", columns].tolist()


def test_a_run_of_a_removed_network_keeps_its_score(runs, tmp_path):
    old = Run(tmp_path / "old")
    shutil.copytree(runs[0].folder, old.folder)
    kept = old.settings()
    kept["settings"]["model"] = "forgotten-net"
    old.write_json("settings.json", kept)
    last = table_one([old]).iloc[-1]
    assert (last.method, last.modality) == ("forgotten-net, joint, small size", "unknown network")
    assert last.n == table_one([runs[0]]).query("source == 't1-joint'").n.item()


def test_emotion_runs_are_refused(trained):
    with pytest.raises(RunError, match="expected a gesture run for Table 1, got one of emotion"):
        table_one([trained[0]])


def test_the_command_line_prints_every_finished_run(runs, capsys):
    main(["table"])
    printed = capsys.readouterr().out
    assert "62.87" in printed and "t1-joint" in printed and "fusion (2:1)" in printed
    main(["table", "--format", "latex"])
    assert r"\bottomrule" in capsys.readouterr().out
    main(["table", "t1-bone", "--split", "validation"])
    printed = capsys.readouterr().out
    assert "t1-joint" not in printed and "synthetic, validation" in printed
