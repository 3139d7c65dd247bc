"""All classes look different, with any colour vision; a class looks the same in every run."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.vocabulary import builtin
from imigue_lab.views.prototypes.plane import MARKS, colour_points
from imigue_lab.views.style import DISTINCT

IMIGUE = builtin("imigue")

# What a colour becomes in linear RGB where one kind of cone is missing (Machado et al., 2009)
VISIONS = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
WHITE = [0.9505, 1.0, 1.089]
FAR = 15  # of CIE's ΔE, where 2.3 is a just noticeable difference


def in_lab(colour, vision):
    """L*, a*, b* of a colour with one type of colour vision."""
    byte = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    linear = np.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISIONS[vision]) @ linear, 0, 1)
    share = np.array(TO_XYZ) @ seen / WHITE
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_differ_from_each_other_and_from_white_with_every_colour_vision(vision):
    seen = {name: in_lab(name, vision) for name in (*DISTINCT, "#ffffff")}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > FAR, (one, other)


def table_of(labels):
    return pd.DataFrame({"label": pd.array(labels, dtype="Int64")})


def test_no_two_of_all_classes_share_both_colour_and_mark():
    largest = builtin("ma52")
    found = colour_points(table_of(range(len(largest))), "class", largest)
    assert len(set(zip(found.colours, found.marks, strict=True))) == len(largest)
    assert set(found.marks) == set(MARKS)
    assert found.names == [f"{own} {name}" for own, name in enumerate(largest.classes)]


def test_classes_of_a_group_share_its_colour_and_have_marks_of_their_own():
    found = colour_points(table_of(range(32)), "class", IMIGUE)
    looks = pd.DataFrame({"group": IMIGUE.groups, "colour": found.colours, "mark": found.marks})
    assert (looks.groupby("group").colour.nunique() == 1).all()
    assert looks.colour.nunique() == looks.group.nunique() == 6
    assert not looks.duplicated(["group", "mark"]).any()


def test_a_class_looks_the_same_whichever_others_are_there():
    many, few = (
        colour_points(table_of(range(32)), "class", IMIGUE),
        colour_points(table_of([30, None, 9]), "class", IMIGUE),
    )
    for place, label in enumerate((9, 30)):
        assert (few.colours[place], few.marks[place]) == (many.colours[label], many.marks[label])
    assert few.number.tolist() == [1, -1, 0]
