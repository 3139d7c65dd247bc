"""Figures are kept as one page that fetches nothing and, with a Chromium, as pictures."""

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from imigue_lab.training.runs import Run
from imigue_lab.views import export as keep
from imigue_lab.views.export import keep_figures
from tests.views.test_page import CHROMIUM


@pytest.fixture
def figures():
    def bar(colour, height):
        figure = go.Figure(go.Bar(x=["win", "lose"], y=[3, 5], marker={"color": colour}))
        return figure.update_layout(height=height)

    return {"first": bar("rgb(200, 0, 100)", 300), "second": bar("rgb(0, 120, 0)", 200)}


def test_the_page_brings_plotly_once_and_fetches_nothing(figures, tmp_path, monkeypatch):
    monkeypatch.setattr(keep, "CHROMIUM", ())
    page = keep_figures(Run(tmp_path), "07_gates", figures)
    assert page == tmp_path / "figures" / "07_gates.html"
    text = page.read_text()
    assert text.count("plotly.js v") == 1
    assert text.count('class="plotly-graph-div"') == 2
    assert '<script src="http' not in text
    assert not list(page.parent.glob("*.png"))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; make system installs it")
def test_each_figure_has_its_own_picture(figures, tmp_path):
    page = keep_figures(Run(tmp_path), "07_gates", figures)
    red, green = (200, 0, 100), (0, 120, 0)
    for name, height, own, other in (("first", 300, red, green), ("second", 200, green, red)):
        with Image.open(page.with_name(f"{name}.png")) as picture:
            assert picture.size == (1000, height)
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert (np.abs(pixels - own).max(axis=2) < 12).mean() > 0.03
        assert not (np.abs(pixels - other).max(axis=2) < 12).any()


def test_a_browser_that_fails_costs_the_pictures_alone(figures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keep, "CHROMIUM", ("false",))
    page = keep_figures(Run(tmp_path), "07_gates", figures)
    assert page.exists()
    assert "note: no PNG of the figures" in capsys.readouterr().out
