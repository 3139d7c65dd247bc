"""Names that contain markup are text in every figure; `tests/browser/test_markup.py` draws them."""

import json
import re

import pytest

from tests.views.marked import marked_figures

KEPT = ("source", "legendgroup", "template")  # of pictures, and never drawn
MARKUP = re.compile(
    r"<(?!br>|sub>|/sub>|extra>|/extra>)|&(?!(amp|lt|gt);)"  # what figures do not write
    r"|a<br>(b|foot)|4<br>4"  # of names
)


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    return marked_figures(tmp_path_factory.mktemp("marked"))


def texts_of(part):
    if isinstance(part, dict):
        return [t for key, own in part.items() if key not in KEPT for t in texts_of(own)]
    if isinstance(part, list):
        return [text for own in part for text in texts_of(own)]
    return [part] if isinstance(part, str) else []


def test_every_text_of_every_figure_is_without_markup_of_names(figures):
    for name, (figure, _) in figures.items():
        texts = texts_of(json.loads(figure.to_json()))
        assert not [text for text in texts if MARKUP.search(text)], name
        assert any("&lt;" in text for text in texts), name


def test_no_template_contains_a_name(figures):
    for name, (figure, _) in figures.items():
        templates = [trace.hovertemplate or "" for trace in figure.data]
        assert not [text for text in templates if "&" in str(text)], name
