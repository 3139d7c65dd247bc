"""Buttons below the player in JupyterLab and Chromium, with markup in every name."""

import pandas as pd
import pytest

from tests.browser.laboratory import CHROMIUM

MARKUP = "<img src=x onerror=document.title='broken'>"
CODE = """
from dataclasses import replace
from pathlib import Path

from ipywidgets import VBox

from imigue_lab.data.source import open_data
from imigue_lab.views.corrections import Corrections
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.player.widgets import Player

index = open_data({root!r})
names = tuple({markup!r} + name for name in index.vocabulary.classes)
index = replace(index, vocabulary=replace(index.vocabulary, classes=names))
moment = Moment(index, clip_id=index.clips.clip_id[0])
VBox([Player(moment), Corrections(moment, Path({folder!r}), who={markup!r} + "anna")])
"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here; make system installs it"
)


def test_a_pressed_button_stores_a_decision_and_markup_is_shown_as_text(desk, filmed_set, tmp_path):
    desk.write("correct", CODE.format(root=str(filmed_set), folder=str(tmp_path), markup=MARKUP))
    desk.run_all("correct.ipynb")
    desk.wait_for_frame(".lab-player canvas.picture")
    desk.page.locator(".widget-dropdown select").select_option(index=4)
    chosen = desk.page.locator(".widget-dropdown select option").nth(4).text_content()
    desk.page.click("button:text-is('relabel')")
    desk.wait_until("document.body.textContent.includes('>anna 2')")  # who and when
    desk.shot(".lm-Widget.jp-OutputArea-output", "corrections")
    desk.page.click("button:text-is('reject')")
    desk.wait_until("document.body.textContent.includes('reject  <img')")
    (row,) = pd.read_csv(tmp_path / "corrections.csv").to_dict("records")
    assert (row["kind"], row["who"]) == ("reject", f"{MARKUP}anna")
    assert MARKUP in chosen.replace("\xa0", " ") and row["previous"].startswith(MARKUP)
    assert desk.page.locator("img[src=x]").count() == 0
    assert desk.page.evaluate("document.title") != "broken"
    desk.assert_no_errors()
