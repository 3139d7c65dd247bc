"""Agreement of two sides by hand-computed values, whatever they are written in."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imigue_lab.app import main
from imigue_lab.data.elan import write_eaf
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.segments import as_segments, write_csv
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.videos.frame_table import frame_table
from imigue_lab.data.vocabulary import OWN, Vocabulary
from imigue_lab.errors import DataError, RunError
from imigue_lab.results.agree import agree
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import train_recognition

NODS = Vocabulary(OWN, ("nod", "Shake", "shrug"), ("1", "2", "3"), ("", "", ""))


@pytest.fixture
def write(tmp_path):
    """Writes (class, start, end, confidence) in frames at a rate as an ELAN file or a CSV."""

    def write(name, rows, fps=25):
        table = pd.DataFrame(rows, columns=["label", "start", "end", "confidence"])
        times = np.arange(2000) / fps
        segments, path = as_segments(table, times), tmp_path / name
        if path.suffix == ".eaf":
            write_eaf(segments, tmp_path / "talk.mp4", fps, path, NODS)
        else:
            write_csv(segments, path, NODS)
        return str(path)

    return write


A = [(0, 0, 24, np.nan), (1, 50, 74, np.nan), (2, 100, 124, np.nan), (0, 150, 174, np.nan)]
B = [
    (0, 5, 24, 0.9),  # IoU 20 / 25, starts 200 ms later
    (1, 60, 84, 0.8),  # 15 / 35, both ends 400 ms later
    (2, 80, 104, 0.7),  # 5 / 45, both ends 800 ms earlier
    (1, 150, 174, 0.6),  # another class
    (2, 200, 249, 0.5),  # alone
]


@pytest.mark.parametrize("endings", [("eaf", "csv"), ("csv", "eaf"), ("csv", "csv")])
def test_f1_and_differences_are_those_counted_by_hand(write, endings):
    table = agree(write(f"a.{endings[0]}", A), write(f"b.{endings[1]}", B)).table.set_index("iou")
    assert table.matched.tolist() == [3, 2, 1]
    assert table.f1.tolist() == pytest.approx([6 / 9, 4 / 9, 2 / 9])
    assert table.a.tolist() == [4] * 3 and table.b.tolist() == [5] * 3
    starts = table[["start_q1_ms", "start_ms", "start_q3_ms"]]
    assert starts.loc[0.1].tolist() == [-300, 200, 300]  # of -800, 200, 400
    assert starts.loc[0.3].tolist() == [250, 300, 350]
    assert table.end_ms.tolist() == [0, 200, 0]


def test_kappa_is_of_frames_with_the_background_as_a_class(write):
    # 10 frames, A: nod 0-3, then nothing; B: nod 0-1, shake 2-9
    found = agree(write("a.eaf", [(0, 0, 3, np.nan)]), write("b.eaf", [(0, 0, 1, 1), (1, 2, 9, 1)]))
    agreed, chance = 0.2, 0.4 * 0.2 + 0.6 * 0 + 0 * 0.8
    assert found.kappa == pytest.approx((agreed - chance) / (1 - chance))
    assert found.remarks[-1] == "kappa is of 10 frames at 25 a second, up to the last segment"
    assert any(remark.endswith("b.eaf alone: shake") for remark in found.remarks)


def test_kappa_counts_every_frame_of_a_video(write, filmed):
    index = read_index(filmed)
    film = Path(index.videos.video[0])
    # 4 frames of which 2 agree, and as many more that both leave free
    found = agree(write("a.eaf", [(0, 0, 3, np.nan)]), write("b.eaf", [(0, 0, 1, 1)]), film)
    frames = len(frame_table(film).seconds) - 1
    assert found.remarks[-1] == f"kappa is of {frames} frames of the video"
    free = frames - 4
    agreed, chance = (2 + free) / frames, (4 * 2 + free * (free + 2)) / frames**2
    assert found.kappa == pytest.approx((agreed - chance) / (1 - chance))


def test_a_file_that_is_not_there_is_named_with_the_right_advice(write, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.eaf: .*No such file.*; correct its path"):
        agree(write("a.eaf", A), str(tmp_path / "nowhere.eaf"))


def test_frame_rates_may_differ(write):
    fast = [(label, 2 * start, 2 * end + 1, sure) for label, start, end, sure in A]
    found = agree(write("a.eaf", A), write("b.csv", fast, 50))
    assert found.table.f1.tolist() == [1, 1, 1] and found.kappa == 1
    assert not any("converted" in own for own in found.remarks)
    assert (found.table.filter(like="_ms") == 0).all(axis=None)


def test_sides_without_segments_agree_on_nothing_that_counts(write, capsys):
    empty, one = write("a.eaf", []), write("b.csv", B[:1])
    found = agree(empty, one)
    assert found.table.f1.tolist() == [0, 0, 0] and found.kappa == 0
    assert found.table.start_ms.isna().all()
    nothing = agree(empty, write("c.csv", []))
    assert nothing.table.f1.isna().all() and math.isnan(nothing.kappa)
    main(["agree", empty, empty])
    shown = capsys.readouterr().out
    assert "kappa per frame: undefined (both sides have one and the same class" in shown
    assert "nan" not in shown.lower()


def test_names_are_compared_without_case_and_overlaps_are_painted_by_the_shortest(write, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("class;start_s;end_s\nSHAKE;0;0.4\nnod;0;0.8\n", encoding="utf-8")
    found = agree(str(own), write("b.eaf", [(1, 0, 9, np.nan), (0, 10, 19, np.nan)]))
    assert found.kappa == 1 and found.table.matched.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "class,start_s\nnod,1\n",
            "expected the columns class, start_s, end_s, got class, start_s",
        ),
        (
            "class,start_s,end_s\nnod,0,1\nnod,2,2\n",
            r"x.csv:3: expected a class, and .*got nod,2,2",
        ),
        ("class,start_s,end_s\nnod,soon,2\n", r"x.csv:2: .*got nod,soon,2; correct the row"),
    ],
)
def test_a_csv_of_another_form_is_refused(write, tmp_path, text, complaint):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=complaint):
        agree(write("a.eaf", A), str(tmp_path / "x.csv"))


def test_a_time_that_no_video_has_is_refused(write, tmp_path):
    path = tmp_path / "a.eaf"
    write(path.name, A)
    text = path.read_text().replace('TIME_VALUE="7000"', 'TIME_VALUE="70000000000"')
    path.write_text(text.replace('TIME_VALUE="6000"', 'TIME_VALUE="60000000000"'))
    with pytest.raises(DataError, match="after the video's end at 240:00"):
        agree(str(path), write("b.csv", B))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("long") / "interviews"
    make_data(root, SyntheticSpec(videos=8, size="long", pictures=False))
    return root


def test_a_run_is_compared_on_the_video_that_the_file_is_named_after(
    root, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path))
    settings = {"data": str(root), "name": "finder", "epochs": 1, "width": 16}
    run = train_recognition(RecognitionSettings.from_arguments(settings))
    found, vocabulary = run.predictions(), run.vocabulary()
    found["kept"] = found.groupby("video_id").cumcount() < 5  # it has hardly learned
    run.write_predictions(found)
    own = found[found.kept & (found.video_id == found.video_id[0])]
    path = tmp_path / f"{own.video_id.iloc[0]}.csv"
    write_csv(as_segments(own, np.arange(5000) / 25), path, vocabulary)
    main(["agree", "finder", str(path)])
    shown = capsys.readouterr().out
    assert "Cohen's kappa per frame: 1.000" in shown and "shortest counts" in shown
    agreed = agree(str(path), "finder")
    assert agreed.table.f1.tolist() == [1, 1, 1] and agreed.table.a.tolist() == [len(own)] * 3
    other = path.rename(tmp_path / "talk.csv")
    with pytest.raises(RunError, match=r"finder: expected a video talk, got .*rename"):
        agree("finder", str(other))


@pytest.mark.parametrize("end", ["1e14", "inf", "1e400", "14400.001"])
def test_a_csv_that_ends_after_four_hours_is_refused_by_row(write, end):
    other = write("b.csv", B)
    path = Path(write("a.csv", A))
    path.write_text(f"class,start_s,end_s\nnod,0,14400\nnod,0,{end}\n")
    with pytest.raises(DataError, match=rf"a\.csv:3: expected .* up to 14400, got nod,0,{end};"):
        agree(str(path), other)
