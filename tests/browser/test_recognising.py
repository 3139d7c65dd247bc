"""Notebook 11 in JupyterLab and Chromium: a pressed segment of the timeline plays."""

import pytest

from tests.browser.laboratory import CHROMIUM

PLAYER, TITLE = ".lab-player canvas.picture", ".lab-player .title"
LANES = ".lab-lanes canvas"
LANE, NAME = 62, 16  # pixels of a lane, and of the name above it
SMALL = {"model": "frames", "epochs": 2, "width": 8, "depth": 3}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here; make system installs it"
)


@pytest.fixture(scope="module")
def shown(filmed_set):
    """The player that the notebook shows, in this process."""
    from imigue_lab.training.recognition.data import load_recognition_data
    from imigue_lab.training.recognition.settings import RecognitionSettings
    from imigue_lab.training.recognition.train import train_recognition
    from imigue_lab.views.recognition import SegmentPlayer

    settings = RecognitionSettings.from_arguments({"data": str(filmed_set)} | SMALL)
    data = load_recognition_data(settings)
    return SegmentPlayer(train_recognition(settings, data), data)


@pytest.fixture(scope="module")
def notebook(desk, filmed_set, shown):
    """Notebook 11, completely executed."""
    desk.put("11_recognise", data=str(filmed_set), **SMALL)
    desk.run_all("11_recognise.ipynb")
    desk.wait_for_frame(PLAYER)
    return desk


def press(desk, shown, segment):
    """Clicks on the middle of a true segment, in the upper half of the lane of its class."""
    lane = sorted(shown.table.label.unique()).index(segment.label)
    frames = shown.lanes.lanes[0]["windows"] * shown.lanes.window
    canvas = desk.page.locator(LANES).first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    height = box["height"] / (LANE * len(shown.lanes.lanes))
    middle = (segment.start + segment.end + 1) / 2 / frames
    y = (LANE * lane + NAME + (LANE - NAME) / 4) * height
    canvas.click(position={"x": middle * box["width"], "y": y})


def test_a_pressed_segment_plays_to_its_end_and_then_another(notebook, shown):
    assert not notebook.errors()
    assert notebook.count(".js-plotly-plot") == 2
    true = shown.table[shown.table.kind.isin(["true", "missed"])]
    for segment in (true.iloc[2], true.iloc[0]):
        press(notebook, shown, segment)
        title = f"document.querySelector('{TITLE}').textContent"
        notebook.wait_until(f"{title}.startsWith('Clip {segment.clip_id}:')")
        last = f"document.querySelector('{PLAYER}').dataset.frame === '{segment.end}'"
        notebook.wait_until(last)
    row = notebook.page.locator("button:text-is('confirm')")
    below = notebook.page.locator(PLAYER).first.bounding_box()
    assert row.is_enabled() and row.bounding_box()["y"] > below["y"] + below["height"]
    notebook.shot(".lab-lanes", "11_lanes")
    notebook.shot(".lab-player", "11_player")


def test_a_segment_that_is_pressed_while_another_plays_starts_at_once(notebook, shown):
    true = shown.table[shown.table.kind.isin(["true", "missed"])]
    press(notebook, shown, true.iloc[1])
    press(notebook, shown, true.iloc[3])
    notebook.wait_until(
        f"document.querySelector('{PLAYER}').dataset.frame === '{true.end.iloc[3]}'"
    )
    title = notebook.page.inner_text(TITLE)
    assert title.startswith(f"Clip {true.clip_id.iloc[3]}:")


def test_another_video_of_train_is_shown_with_its_own_lanes(notebook, shown):
    former, names = notebook.page.locator(LANES).element_handle(), dict(shown.video.options)
    label = next(name for name in names if name.startswith("train · "))
    notebook.page.select_option(".widget-dropdown:has-text('video') select", label)
    title = f"document.querySelector('{TITLE}').textContent"
    notebook.wait_until(f"{title} === 'Video {names[label]}'")
    notebook.page.wait_for_function("former => !former.isConnected", arg=former)
    notebook.page.wait_for_selector(LANES)
    shown.video.value = names[label]
    segment = shown.table[shown.table.kind.isin(["true", "missed"])].iloc[0]
    press(notebook, shown, segment)
    notebook.wait_until(f"{title}.startsWith('Clip {segment.clip_id}:')")
    assert notebook.count(".lab-lanes") == 1
    notebook.assert_no_errors()
