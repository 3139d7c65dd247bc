"""The 32 classes, their CSV ids and groups; outcomes of videos as the data write them."""

import pytest

from imigue_lab.data.vocabulary import (
    CLASSES,
    GROUPS,
    code_outcomes,
    from_csv_id,
    group_of,
    to_csv_id,
)
from imigue_lab.errors import DataError


def test_csv_ids_are_converted_to_classes_and_back():
    assert [from_csv_id(to_csv_id(label)) for label in range(32)] == list(range(32))


def test_99_is_the_illustrative_gesture_and_1_the_turtle_neck():
    assert CLASSES[from_csv_id(99)] == "illustrative gesture"
    assert CLASSES[from_csv_id(1)] == "turtle neck"
    assert CLASSES[from_csv_id(31)] == "shaking shoulders"


@pytest.mark.parametrize("value", [0, 32, -1, 100])
def test_an_unknown_id_is_refused(value):
    with pytest.raises(DataError, match=str(value)):
        from_csv_id(value)


def test_every_class_belongs_to_one_group():
    assert sorted(label for members in GROUPS.values() for label in members) == list(range(32))
    assert group_of(24) == "hand"


@pytest.mark.parametrize(
    ("texts", "names", "places"),
    [
        (["Win", "lose", "", "1", "LOSS", None], ("lose", "win"), [1, 0, None, 1, 0, None]),
        (["1", "0.0"], ("lose", "win"), [1, 0]),
        ([], ("lose", "win"), []),
        (["tense", "Calm ", "calm"], ("Calm", "tense"), [1, 0, 0]),
        (["win", "zero"], ("zero", "win"), [1, 0]),
        (["1", "2"], ("2", "1"), [1, 0]),  # of two, 1 is the positive one
        (["draw", "win", "lose"], ("draw", "lose", "win"), [0, 2, 1]),
        (["10", "9", "2.0", "2"], ("2.0", "9", "10"), [2, 1, 0, 0]),
    ],
)
def test_outcomes_are_the_categories_of_the_data_in_order(texts, names, places):
    assert code_outcomes(texts) == (names, places)
