"""Agreement on the classes of clips by hand-computed values, with intervals over subjects."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from imigue_lab.app import main
from imigue_lab.data.corrections import write_correction
from imigue_lab.data.vocabulary import OWN, Vocabulary
from imigue_lab.errors import DataError
from imigue_lab.results.agree import agree_on_clips, kappa_over_clusters
from imigue_lab.training.runs import Run

NODS = Vocabulary(OWN, ("nod", "Shake", "shrug"), ("1", "2", "3"), ("", "", ""))


def decide(path, rows, who="anna", clips=True):
    """Writes (number of a clip, kind, class) as corrections of clips whose class is a nod."""
    for number, kind, name in rows:
        item = {"item": f"c{number}" if clips else "", "video_id": f"v{number // 2}"}
        item |= {"start": number, "end": number + 9, "previous": "nod"}
        write_correction(path, item, kind, name, who)
    return str(path)


ANNA = [(0, "confirm", "nod"), (1, "relabel", "Shake"), (2, "reject", ""), (3, "confirm", "nod")]
BEN = [(0, "confirm", "nod"), (1, "relabel", "shrug"), (2, "reject", ""), (4, "confirm", "nod")]


@pytest.fixture
def run(tmp_path):
    """Predicts a nod for clips 0 to 4, and a shake for the clip 1; two videos a subject."""
    run, rows = Run(tmp_path / "run"), np.arange(5)
    run.write_json("vocabulary.json", NODS.to_dict())
    table = pd.DataFrame(
        {"clip_id": [f"c{n}" for n in rows], "video_id": [f"v{n // 2}" for n in rows]}
    )
    table = table.assign(subject=[f"s{n // 4}" for n in rows], split="test", label=0)
    run.write_predictions(
        table.assign(p0=[0.9, 0.1, 0.9, 0.9, 0.9], p1=[0.0, 0.9, 0.0, 0.0, 0.0], p2=0.1)
    )
    run.write_json("scores.json", [])
    return run


def test_two_people_agree_where_both_decided(tmp_path):
    a, b = decide(tmp_path / "a.csv", ANNA), decide(tmp_path / "b.csv", BEN, "ben")
    table, remarks = agree_on_clips(a, b)
    row = table.iloc[0]
    assert (row.n, row.agreed, row.clusters) == (3, 2, "2 videos")
    assert row.share == pytest.approx(2 / 3)
    # nod, shake, rejected by anna; nod, shrug, rejected by ben: p_e = 1/9 + 1/9
    assert row.kappa == pytest.approx((2 / 3 - 2 / 9) / (1 - 2 / 9))
    assert row.low < row.share < row.high
    assert remarks == [
        "1 are shake in A, shrug in B",
        "not compared: 1 items of A alone, 1 of B alone",
    ]


def test_people_in_one_file_are_named(tmp_path):
    decide(tmp_path / "c.csv", ANNA)
    both = decide(tmp_path / "c.csv", BEN, "ben")
    assert agree_on_clips(f"{both}:anna", f"{both}:ben")[0].n[0] == 3
    with pytest.raises(
        DataError, match=r"c.csv: expected one of anna, ben, got several people; name"
    ):
        agree_on_clips(both, f"{both}:ben")
    with pytest.raises(
        DataError, match=r"c.csv:eve: expected one of anna, ben, got eve; name one, as"
    ):
        agree_on_clips(f"{both}:anna", f"{both}:eve")


def test_a_person_and_a_run_agree_over_subjects(run, tmp_path, capsys):
    path = decide(tmp_path / "a.csv", ANNA)
    row = agree_on_clips(path, str(run.folder))[0].iloc[0]
    assert (row.n, row.agreed, row.clusters) == (4, 3, "1 subjects")  # the rejected clip is a nod
    with pytest.raises(SystemExit):
        main(["agree", path, "nowhere"])
    main(["agree", path, str(run.folder)])
    assert "not compared: 0 items of" in capsys.readouterr().out
    inside = decide(run.folder / "corrections.csv", ANNA)  # knows the subjects of its run
    assert agree_on_clips(inside, path)[0].clusters[0] == "1 subjects"


def test_found_segments_are_joined_by_their_frames(run, tmp_path):
    found = run.predictions()[["video_id", "subject", "split"]].assign(label=0, kept=True)
    found = found.assign(start=range(5), end=range(9, 14), confidence=0.9)
    found.insert(0, "segment_id", [f"x{n}" for n in range(5)])
    run.write_predictions(found)
    path = decide(tmp_path / "a.csv", ANNA, clips=False)
    row = agree_on_clips(str(run.folder), path)[0].iloc[0]
    assert (row.n, row.agreed) == (4, 2)


def test_sides_without_a_common_item_are_refused(tmp_path):
    a, b = decide(tmp_path / "a.csv", ANNA[:1]), decide(tmp_path / "b.csv", BEN[1:], "ben")
    with pytest.raises(
        DataError, match=r"b.csv: expected items that .*a.csv decides too, got none"
    ):
        agree_on_clips(a, b)


def test_kappa_is_that_of_scikit_learn_and_its_interval_is_over_clusters():
    rng = np.random.default_rng(0)
    a = pd.Series(rng.choice(["x", "y", "z"], 400))
    b = a.where(rng.random(400) < 0.7, "x")
    alone = pd.Series(range(400))
    kappa, low, high = kappa_over_clusters(a, b, alone.astype(str))
    assert kappa == pytest.approx(cohen_kappa_score(a, b))
    assert low < kappa < high and high - low < 0.2
    copies = alone // 10  # forty items ten times
    a, b = (own.iloc[copies * 10].reset_index(drop=True) for own in (a, b))
    wide = kappa_over_clusters(a, b, copies.astype(str))
    assert wide[2] - wide[1] > 2 * (high - low)
    assert np.isnan(
        kappa_over_clusters(pd.Series(["x"] * 3), pd.Series(["x"] * 3), pd.Series(list("abc")))[0]
    )
