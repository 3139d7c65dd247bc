"""Keypoint tables: headers, joints by column, and errors about invalid files."""

import sys
import zipfile
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.keypoint_files.tables import (
    read_openpose_xlsx,
    read_points,
    read_recording,
)
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError

HAND, BODY = LAYOUTS["light_hand35"], LAYOUTS["body25"]


def read_array(path, layout):
    return read_recording(path, layout).skeleton


def row(frame, joints=35):
    """Joint number n at (100 + frame, n + 1), score 0.5."""
    return [frame, *(c for joint in range(joints) for c in (100 + frame, joint + 1, 0.5))]


@pytest.fixture
def write(tmp_path):
    """Writes lines of cells as a CSV with a header; returns its path."""

    def lines(*rows, header=None, name="0001_light_hand.csv"):
        width = len(rows[0]) if rows else 106
        header = [f"c{n}" for n in range(width)] if header is None else header
        table = [header, *rows] if header else rows
        path = tmp_path / name
        path.write_text("".join(",".join(map(str, cells)) + "\n" for cells in table))
        return path

    return lines


def change(frame, column, value, frames=3):
    rows = [row(n) for n in range(frames)]
    rows[frame][column] = value
    return rows


def test_frame_zero_is_the_first_line_after_the_header(write):
    skeleton = read_points(write(*(row(n) for n in range(4))))
    assert skeleton.shape == (1, 4, 35, 3)
    assert_array_equal(skeleton[0, :, 0, 0], (100, 101, 102, 103))
    assert_allclose(skeleton[0, 2, 34], (102, 35, 0.5))


def test_a_header_of_column_numbers_is_a_header(write):
    for header in (range(106), ["", *range(105)]):
        path = write(row(0), row(1), header=list(header))
        assert read_points(path).shape[1] == 2


def test_a_file_without_header_is_refused_instead_of_losing_a_frame(write):
    with pytest.raises(DataError, match="line 1: expected a header, got only numbers"):
        read_points(write(*(row(n) for n in range(3)), header=[]))


def test_synthetic_keypoints_read_back(index):
    video = index.videos.iloc[0]
    recording = read_recording(video.keypoints)
    assert recording.layout is HAND
    assert recording.skeleton.dtype == np.float32
    legs = [HAND.joints.index(f"{side}_knee") for side in ("left", "right")]
    assert not recording.skeleton[:, :, legs].any()
    assert recording.skeleton[0, :, HAND.joints.index("nose"), 2].all()


def test_a_byte_order_mark_and_a_last_empty_line_are_accepted(write):
    path = write(row(0), row(1))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n")
    assert read_points(path).shape[1] == 2


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (change(1, 3, "x"), r"line 3: column 4: expected a number, got 'x'; write 0"),
        (change(1, 3, ""), "line 3: column 4: expected a number, got ''"),
        (
            change(2, 8, "nan"),
            r"frame 2, y of right_shoulder: expected a position .* got nan",
        ),
        (change(2, 9, 7), "frame 2, score of right_shoulder: expected a score of 0 to 1, got 7"),
        (change(0, 1, "-inf"), "frame 0, x of nose: expected a position in pixels, got -inf"),
        (change(1, 0, 2), "line 3: expected frame 1, got 2; labels count frames"),
        (change(1, 0, "inf"), "line 3: expected frame 1, got inf"),
        (change(0, 0, 5), "line 2: expected frame 0 or 1, got 5"),
        ([row(0), row(1)[:-1]], "line 3: expected 106 columns, got 105; write the file again"),
        ([row(0), [], row(1)], "line 3: expected 106 columns, got 0"),
        ([row(0, joints=25)], "line 1: expected a header of 106 columns, .* got 76"),
        ([], "expected frames, got a header only"),
    ],
)
def test_an_invalid_line_is_named_with_its_error(write, rows, sentence):
    path = write(*rows)
    with pytest.raises(DataError, match=sentence) as refused:
        read_points(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.csv: expected frames, got an empty file"):
        read_points(tmp_path / "a.csv")


def test_a_missing_or_binary_file_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\x81\x00" * 50)
    for name in ("a.csv", "b.csv"):
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            read_points(tmp_path / name)


def test_the_file_name_determines_the_layout(write):
    body = read_recording(write(row(0, 25), name="0001_light.csv"))
    assert body.layout is BODY and body.skeleton.shape == (1, 1, 25, 3)
    with pytest.raises(DataError, match=r"0001.txt: expected a \*_light_hand.csv"):
        read_recording(write(row(0), name="0001.txt"))


def test_a_table_of_any_name_separator_and_decimals_is_read_as_its_number_of_joints(write):
    expected = read_recording(write(row(0), row(1))).skeleton
    for number, between in enumerate(";\t"):
        for name in (f"{number}_light_hand.CSV", f"{number}.csv"):
            path = write(row(0), row(1), name=name)
            text = path.read_text().replace(",", between).replace(".", ",")
            path.write_text(text, encoding="utf-16")
            recording = read_recording(path)
            assert recording.layout is HAND
            assert_array_equal(recording.skeleton, expected)
    path = write([0, *[-0.5] * 75], name="a.csv")  # below 0: no scores
    assert_array_equal(read_array(path, LAYOUTS["ntu25"]), np.full((1, 1, 25, 3), -0.5))
    with pytest.raises(DataError, match="frame and x, y, score of each joint, got 3 columns"):
        read_recording(write([7, 0, 39], name="0001_label.csv"))


@pytest.fixture
def workbook(monkeypatch, tmp_path):
    """Replaces python-calamine, which may not be installed, by a workbook of these rows."""

    def rows(content):
        def open_book(path):
            if isinstance(content, Exception):
                raise content
            sheet = SimpleNamespace(to_python=lambda skip_empty_area: content)
            return SimpleNamespace(get_sheet_by_index=lambda number: sheet)

        module = ModuleType("python_calamine")
        module.CalamineWorkbook = SimpleNamespace(from_path=open_book)
        monkeypatch.setitem(sys.modules, "python_calamine", module)
        return tmp_path / "0001_openpose.xlsx"

    return rows


def test_a_workbook_has_no_header_and_411_columns(workbook):
    path = workbook([row(n, 137)[1:] for n in range(3)])
    recording = read_recording(path)
    assert recording.layout is LAYOUTS["openpose137"]
    assert_array_equal(recording.skeleton[0, :, 136, 0], (100, 101, 102))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], " expected frames, got an empty sheet"),
        ([row(0, 137)], " row 1: expected 411 columns, got 412"),
        ([row(0, 137)[1:], ["", *row(1, 137)[2:]]], " row 2: column 1: expected a number, got ''"),
        ([[None, *row(1, 137)[2:]]], " row 1: column 1: expected a number, got None"),
        (RuntimeError("bad\nzip"), r" is not a workbook \(bad zip\); copy it again"),
    ],
)
def test_an_invalid_workbook_is_named_with_its_error(workbook, content, sentence):
    with pytest.raises(DataError, match=rf"openpose\.xlsx:{sentence}"):
        read_openpose_xlsx(workbook(content))


@pytest.mark.parametrize("cell", ["XFD1048576", "A900000", "PA3"])
def test_a_stray_far_cell_is_refused_before_the_sheet_is_read(workbook, cell):
    path = workbook([row(0, 137)[1:]])
    number = cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    rows = '<row r="1"><c r="A1"><v>1</v></c><c r="OU1"><v>1</v></c></row>'
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", f"<sheetData>{rows}</sheetData>")
    assert read_openpose_xlsx(path).shape == (1, 1, 137, 3)
    rows += f'<row spans="1:2" r="{number}"><c s="1" r="{cell}"><v>1</v></c></row>'
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", f"<sheetData>{rows}</sheetData>")
    with pytest.raises(DataError, match=r"expected 411 columns and no gap .*; delete it and save"):
        read_openpose_xlsx(path)


LAST = '<row r="{0}"><c r="OU{0}"><v>1</v></c></row>'


@pytest.mark.parametrize(
    ("part", "rows", "found"),
    [
        ("worksheets/sheet1.xml", "<row r='1'><c r='XFD1048576'/></row>", "a cell at XFD1048576"),
        ("worksheets/sheet1.xml", '<x:row r="1"><x:c r = "xfd7"/></x:row>', "a cell at xfd7"),
        ("worksheets/sheet1.xml", '<row r="1"><c r="A1048576"/></row>', "a cell at A1048576"),
        ("worksheets/sheet1.xml", "<row/>" * 1000 + LAST.format(1001), "1 cells"),
        ("worksheets/sheet1.xml", f"<row>{'<c/>' * 16_000}</row>", "16000 cells"),
        ("other.bin", '<row r="1"><c r="XFD1048576"/></row>', "a cell at XFD1048576"),
    ],
)
def test_cells_that_would_fill_the_memory_are_found_in_any_form_of_xml(workbook, part, rows, found):
    path = workbook([])
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(f"xl/{part}", f"<sheetData>{rows}</sheetData>")
    with pytest.raises(DataError, match=f"no gap between rows, got {found}"):
        read_openpose_xlsx(path)


def test_a_workbook_that_unpacks_to_more_than_a_gigabyte_is_refused_before_it_is_read(workbook):
    path = workbook([])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/sharedStrings.xml", "<sst/>")
        book.filelist[0].file_size = 10**9 + 1  # as of zeros, which take a thousandth when packed
    assert path.stat().st_size < 1000
    with pytest.raises(DataError, match=r"too large \(1,000,000,001 bytes unpacked, the most are"):
        read_openpose_xlsx(path)


def test_a_workbook_with_a_damaged_part_is_not_passed_on_unchecked(workbook):
    path = workbook([row(0, 137)[1:]])
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/part", "junk")
    path.write_bytes(path.read_bytes().replace(b"junkPK", b"funkPK", 1))
    with pytest.raises(DataError, match=r"is not a workbook \(Bad CRC-32 .*\); copy it again"):
        read_openpose_xlsx(path)


def test_an_archive_of_arrays_under_the_name_of_one_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 25, 3)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"not an array \(it is an \.npz archive\); save it with"):
        read_recording(tmp_path / "a.npy")


def test_the_error_without_the_reader_names_the_package_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(DataError, match="run `pip install python-calamine`"):
        read_openpose_xlsx(tmp_path / "0001_openpose.xlsx")


def test_a_users_array_is_read_with_or_without_persons(tmp_path):
    array = np.full((4, 25, 3), 0.5)
    array[0, 0] = (3, 4, 0)
    for name, saved in (("a.npy", array), ("b.npy", array[None])):
        np.save(tmp_path / name, saved)
        skeleton = read_array(tmp_path / name, BODY)
        assert skeleton.shape == (1, 4, 25, 3) and skeleton.dtype == np.float32
        assert not skeleton[0, 0, 0].any() and skeleton[0, 0, 1].all()


def test_an_array_in_space_may_have_any_coordinates(tmp_path):
    np.save(tmp_path / "a.npy", np.full((2, 4, 25, 3), -2.5))
    assert_array_equal(read_array(tmp_path / "a.npy", LAYOUTS["ntu25"]), -2.5)
    np.save(tmp_path / "a.npy", np.full((2, 4, 25, 3), np.nan))
    with pytest.raises(DataError, match="NaN or infinity; write 0, 0, 0"):
        read_array(tmp_path / "a.npy", LAYOUTS["ntu25"])


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (
            np.zeros((4, 22, 3)),
            "expected the 25 joints of body25, which keypoints.json declares, got 22",
        ),
        (np.zeros((4, 25, 3), int), "got int64"),
        (np.zeros((0, 25, 3)), r"\(0, 25, 3\)"),
        (np.zeros((25, 3)), r"\(25, 3\)"),
        (np.float64(3), r"got \(\)"),
        (np.array([{}], dtype=object), "is not an array"),
        (np.full((4, 25, 3), np.nan), "frame 0, x of nose: expected a position in pixels, got nan"),
    ],
)
def test_an_invalid_array_is_named_with_its_error(tmp_path, array, sentence):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=f"a.npy: .*{sentence}"):
        read_array(tmp_path / "a.npy", BODY)


def test_a_file_that_is_not_an_array_is_refused(tmp_path):
    (tmp_path / "a.npy").write_text("frame,x,y")
    for path in (tmp_path / "a.npy", tmp_path / "b.npy"):
        with pytest.raises(DataError, match="is not an array"):
            read_array(path, BODY)


@pytest.mark.parametrize("kind", ["csv", "npy"])
def test_a_corrupted_file_is_either_read_or_refused_in_one_line(write, tmp_path, kind):
    if kind == "csv":
        path, read, layout = write(row(0), row(1)), read_array, HAND
    else:
        path, read, layout = tmp_path / "a.npy", read_array, BODY
        np.save(path, np.full((2, 25, 3), 0.5))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    sentences = []
    for _ in range(300):
        broken = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 4)):
            broken[place] = rng.integers(256)
        path.write_bytes(broken[: rng.integers(len(whole) // 2, 2 * len(whole))])
        try:
            assert np.isfinite(read(path, layout)).all()
        except DataError as error:
            sentences.append(str(error))
    assert len(sentences) > 50
    assert not [sentence for sentence in sentences if "\n" in sentence]
