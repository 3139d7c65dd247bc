"""Pressing a point plays its clip, and a clip chosen elsewhere marks its point."""

import numpy as np
import pytest

from imigue_lab.data.vocabulary import builtin
from imigue_lab.views.prototypes.plane import COLOUR_BY, KINDS, PrototypeBrowser
from imigue_lab.views.prototypes.points import (
    CLIP,
    ENTRY,
    PROTOTYPE,
    PrototypesSettings,
    project,
    read_points,
)


@pytest.fixture(scope="module")
def flat(looked):
    return project(looked.run, read_points(looked), PrototypesSettings(method="pca"))


@pytest.fixture
def browser(looked, flat, monkeypatch):
    """A browser that keeps its messages to the page in `sent`."""
    browser = PrototypeBrowser(looked, flat)
    browser.sent = []
    keep = lambda content, buffers=(): browser.sent.append((content, buffers))  # noqa: E731
    monkeypatch.setattr(browser.map, "send", keep)
    return browser


def row_of(flat, kind):
    return int(np.flatnonzero(flat.table.kind == kind)[1])


@pytest.mark.parametrize("kind", [ENTRY, CLIP])
def test_a_pressed_entry_or_clip_plays(browser, flat, kind):
    row = row_of(flat, kind)
    browser.map.chosen = row
    assert browser.player.clip_id == browser.moment.clip_id == flat.table.clip_id[row]
    assert flat.table.clip_id[row] in browser.label.value


def test_for_a_pressed_prototype_the_nearest_clip_plays_and_the_prototype_stays_marked(
    browser, flat
):
    row = row_of(flat, PROTOTYPE)
    browser.map.chosen = row
    near = flat.points.nearest(row, 1).iloc[0]
    assert browser.player.clip_id == near.clip_id
    assert browser.map.chosen == row
    assert f"nearest: {near.kind} {near.clip_id}" in browser.label.value


def test_a_clip_chosen_elsewhere_marks_its_point(browser, flat):
    browser.map.chosen = row_of(flat, PROTOTYPE)
    row = row_of(flat, CLIP)
    browser.moment.clip_id = flat.table.clip_id[row]
    assert browser.map.chosen == row
    browser.moment.show("0001")  # no clip is chosen any more: the mark stays
    assert browser.map.chosen == row


def test_the_page_receives_places_looks_kinds_and_names_on_request(browser, flat):
    browser.map.reply(browser.map, {"kind": "scene"}, [])
    scene, (places, looks, kinds) = browser.sent[-1]
    places = np.frombuffer(places, np.float32).reshape(-1, 2)
    np.testing.assert_allclose(places, flat.table[["x", "y"]], rtol=1e-4, atol=1e-6)
    looks, label = np.frombuffer(looks, np.int16), builtin("imigue").label
    shown = [scene["names"][n].split(" · ")[0] for n in looks]
    assert shown == flat.table.label.map(label).tolist()
    assert len(set(zip(scene["palette"], scene["marks"], strict=True))) == len(scene["names"])
    assert scene["kinds"] == KINDS
    assert [KINDS[n] for n in np.frombuffer(kinds, np.uint8)] == flat.table.kind.tolist()
    assert scene["low"][0] == pytest.approx(flat.table.x.min())
    row = row_of(flat, CLIP)
    browser.map.reply(browser.map, {"kind": "name", "point": row}, [])
    named = browser.sent[-1][0]
    assert named["point"] == row and flat.table.clip_id[row] in named["name"]


def test_another_colouring_reaches_the_page(browser, flat):
    browser.map.reply(browser.map, {"kind": "scene"}, [])
    browser.by.value = COLOUR_BY[-1]
    scene, (_, colours, _) = browser.sent[-1]
    assert scene["names"] == ["correct", "incorrect"]
    incorrect = (flat.table.correctness == "incorrect").to_numpy()
    assert (np.frombuffer(colours, np.int16)[incorrect] == 1).all()
