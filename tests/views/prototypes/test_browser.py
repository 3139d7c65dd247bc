"""A pressed point plays the clip behind it, and a clip chosen elsewhere marks its point."""

import numpy as np
import pytest

from imigue_lab.views.prototypes.browser import KINDS, PrototypeBrowser
from imigue_lab.views.prototypes.plane import WAYS
from imigue_lab.views.prototypes.points import CLIP, ENTRY, PROTOTYPE, read_points
from imigue_lab.views.prototypes.projection import PrototypesSettings, flatten


@pytest.fixture(scope="module")
def flat(looked):
    return flatten(looked.run, read_points(looked), PrototypesSettings(method="pca"))


@pytest.fixture
def browser(looked, flat, monkeypatch):
    """A browser whose messages to the page are kept in `said`."""
    browser = PrototypeBrowser(looked, flat)
    browser.sent = []
    keep = lambda content, buffers=(): browser.sent.append((content, buffers))  # noqa: E731
    monkeypatch.setattr(browser.map, "send", keep)
    return browser


def row_of(flat, kind):
    return int(np.flatnonzero(flat.table.kind == kind)[2])


@pytest.mark.parametrize("kind", [ENTRY, CLIP])
def test_a_pressed_entry_or_clip_plays(browser, flat, kind):
    row = row_of(flat, kind)
    browser.map.chosen = row
    assert browser.player.clip_id == browser.moment.clip_id == flat.table.clip_id[row]
    assert flat.table.clip_id[row] in browser.told.value


def test_of_a_pressed_prototype_the_nearest_clip_plays_and_the_prototype_stays_marked(
    browser, flat
):
    row = row_of(flat, PROTOTYPE)
    browser.map.chosen = row
    near = flat.points.nearest(row, 1).iloc[0]
    assert browser.player.clip_id == near.clip_id
    assert browser.map.chosen == row
    assert f"nearest: {near.kind} {near.clip_id}" in browser.told.value


def test_a_clip_chosen_elsewhere_marks_its_point(browser, flat):
    browser.map.chosen = row_of(flat, PROTOTYPE)
    row = row_of(flat, CLIP)
    browser.moment.clip_id = flat.table.clip_id[row]
    assert browser.map.chosen == row
    browser.moment.show("0001")  # no clip is chosen any more: the mark stays
    assert browser.map.chosen == row


def test_the_page_gets_places_looks_and_kinds_and_names_when_it_asks(browser, flat):
    browser.map.answer(browser.map, {"kind": "scene"}, [])
    scene, (places, looks, kinds) = browser.sent[-1]
    places = np.frombuffer(places, np.float32).reshape(-1, 2)
    np.testing.assert_allclose(places, flat.table[["x", "y"]], rtol=1e-4, atol=1e-6)
    looks = np.frombuffer(looks, np.int8)
    assert [scene["names"][n].split(" · ")[0] for n in looks] == flat.table.label.map(str).tolist()
    assert len(set(zip(scene["palette"], scene["marks"], strict=True))) == len(scene["names"])
    assert scene["kinds"] == KINDS
    assert [KINDS[n] for n in np.frombuffer(kinds, np.uint8)] == flat.table.kind.tolist()
    assert scene["low"][0] == pytest.approx(flat.table.x.min())
    row = row_of(flat, CLIP)
    browser.map.answer(browser.map, {"kind": "name", "point": row}, [])
    said = browser.sent[-1][0]
    assert said["point"] == row and flat.table.clip_id[row] in said["name"]


def test_another_way_of_colouring_reaches_the_page(browser, flat):
    browser.map.answer(browser.map, {"kind": "scene"}, [])
    browser.ways.value = WAYS[-1]
    scene, (_, colours, _) = browser.sent[-1]
    assert scene["names"] == ["right", "wrong"]
    told = np.frombuffer(colours, np.int8)[(flat.table.told == "wrong").to_numpy()]
    assert (told == 1).all()
