"""Classes are named by the data: an id or a name has one place, and lists survive a round trip."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from imigue_lab.data import vocabulary
from imigue_lab.data.vocabulary import BUILTIN, OWN, Vocabulary, builtin
from imigue_lab.errors import DataError

IMIGUE = builtin("imigue")


def rows(text):
    return list(csv.DictReader(text.splitlines(), vocabulary.HEADER, restval=""))


def test_99_is_the_illustrative_gesture_and_1_the_turtle_neck():
    assert [IMIGUE.place(own) for own in ("1", "31", "99", " 07 ")] == [0, 30, 31, 6]
    assert IMIGUE.place("Illustrative Gesture") == IMIGUE.background == 31
    assert IMIGUE.label(0) == "1 turtle neck"


@pytest.mark.parametrize("value", ["0", "32", "-1", "100", "", "nod"])
def test_an_unknown_class_is_refused_with_the_ids(value):
    with pytest.raises(DataError, match=f"expected a class of 1 to 31 or 99, got {value!r}"):
        IMIGUE.place(value)


@pytest.mark.parametrize("name", BUILTIN)
def test_a_list_is_written_as_it_was_read(name):
    file = Path(vocabulary.__file__).parent / "vocabularies" / f"{name}.csv"
    own = builtin(name)
    assert own.to_csv() == file.read_text()
    assert all(own.place(text) == n for n, text in enumerate(own.ids))
    assert all(own.place(text) == n for n, text in enumerate(own.classes))
    assert Vocabulary.from_dict(own.to_dict()) == own


def test_a_list_equal_to_a_built_in_one_is_that_one():
    table = [
        {"class": own, "name": name, "group": group, "background": "yes" if own == "99" else ""}
        for own, name, group in zip(IMIGUE.ids, IMIGUE.classes, IMIGUE.groups, strict=True)
    ]
    assert Vocabulary.from_rows(OWN, table) == IMIGUE
    assert Vocabulary.from_rows(OWN, table[::-1]).name == OWN


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1,nod\n1,shrug", "expected unique ids of classes, got 1 twice"),
        ("1,nod\n2,Nod", "expected unique names of classes, got nod twice"),
        ("1,2\n2,1", "expected names that are no other class's id, got 2, 1"),
        ("a,B\nb,nod", "expected names that are no other class's id, got b"),
        (",nod\n2,shrug", "got an empty id"),
        ("", "got no class"),
        ("1,nod,,x\n2,shrug,,1", "got 2 background classes"),
    ],
)
def test_an_ambiguous_list_is_refused(text, complaint):
    with pytest.raises(DataError, match=complaint):
        Vocabulary.from_rows(OWN, rows(text))


def test_groups_are_in_order_and_a_class_without_one_is_among_the_others():
    own = Vocabulary.from_rows(OWN, rows("1,nod,head\n2,shrug\n3,shake,head"))
    assert own.groups == ("head", "other", "head") and own.group_names == ("head", "other")
    assert replace(own, groups=("",) * 3).group_names == ()
