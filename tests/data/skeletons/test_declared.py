"""Layouts declared in keypoints.json: known ones, own ones, one sentence for each fault."""

import json

import pytest

from imigue_lab.data.skeletons.keypoints import (
    LAYOUTS,
    declared_layout,
    layout_of,
    to_declaration,
    to_stored,
)
from imigue_lab.errors import DataError

OWN = {
    "name": "lab4",
    "joints": ["neck", "right_hand", "left_hand", "head"],
    "bones": [["neck", "head"], ["neck", "right_hand"], ["neck", "left_hand"]],
    "mirror": [["right_hand", "left_hand"]],
}


@pytest.fixture
def declare(tmp_path):
    def write(content):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "keypoints.json").write_text(text)
        return declared_layout(tmp_path)

    return write


def test_a_known_layout_is_declared_by_name_and_its_unit_may_differ(declare, tmp_path):
    assert declared_layout(tmp_path) is None
    assert declare({"layout": "ntu25"}) == LAYOUTS["ntu25"]
    assert declare({"layout": "coco17", "unit": "fractions"}).unit == "fractions"


@pytest.mark.parametrize("more", [{}, {"axes": 3}, {"unit": "percent", "scores": False}])
def test_an_own_layout_is_read_and_stored_as_declared(declare, more):
    layout = declare(OWN | more)
    assert layout.joints == ("neck", "right_hand", "left_hand", "head")
    assert layout.bones == ((0, 3), (0, 1), (0, 2)) and layout.mirror == ((1, 2),)
    assert layout.axes == more.get("axes", 2) and layout.scores == (not more)
    assert layout_of(json.loads(json.dumps(to_stored(layout)))) == layout
    assert declare(to_declaration(layout)) == layout
    assert to_stored(LAYOUTS["coco17"]) == "coco17" and layout_of("coco17") == LAYOUTS["coco17"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON"),
        ("[1]", r"expected an object such as .*, got \[1\]"),
        ({"layout": "ntu52"}, "expected layout to be one of body25, .*, got 'ntu52'"),
        ({"layout": ["ntu25"]}, "expected layout to be one of body25"),
        ({"name": "x"}, "the entries name, joints, .*, got 'no joints, no bones'"),
        (OWN | {"bone": []}, "the entries .*, got 'bone'"),
        (OWN | {"name": "coco17"}, "expected a name of your own, of no known layout, got 'coco17'"),
        (OWN | {"joints": "neck"}, "expected joints to be a list of names, got 'neck'"),
        (
            OWN | {"joints": [*OWN["joints"], "head"]},
            "joints with a name each, got 'head'",
        ),
        (OWN | {"joints": []}, "expected joints to be a list of names"),
        (OWN | {"bones": [["neck", "hat"]]}, r"pair of bones .* names of joints, got \['neck', 'h"),
        (OWN | {"bones": OWN["bones"][1:]}, "bones from neck to each .*, got 'none to head'"),
        (
            OWN | {"bones": [*OWN["bones"], ["head", "neck"]]},
            "got '4 bones of 4 joints'",
        ),
        (OWN | {"bones": [*OWN["bones"], ["head", "left_hand"]]}, "got '4 bones of 4 joints'"),
        (OWN | {"mirror": [["neck", "neck"]]}, "at most one mirror pair of two joints, got 'neck'"),
        (
            OWN | {"mirror": [["neck"]]},
            r"pair of mirror to be two names .*, got \['neck'\]",
        ),
        (OWN | {"axes": 4}, "expected axes to be 2 or 3, got 4"),
        (OWN | {"unit": "metres"}, "expected unit of 2 axes to be pixels .*, got 'metres'"),
        (OWN | {"unit": ["pixels"]}, "expected unit of 2 axes"),
        (OWN | {"axes": 3, "scores": True}, "expected scores to be .* false in space, got True"),
        (OWN | {"scores": 1}, "expected scores to be true or false"),
    ],
)
def test_a_fault_is_one_sentence_that_names_the_file(declare, content, sentence):
    with pytest.raises(DataError, match=sentence) as refused:
        declare(content)
    assert "keypoints.json: " in str(refused.value) and "\n" not in str(refused.value)
