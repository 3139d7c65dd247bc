"""Notebook 07 and the error browser in a real JupyterLab and a headless Chromium.

To add a notebook: `desk.put` it with its parameters, `desk.run_all`, operate a widget, check that
its picture changes, and end with `desk.assert_no_errors()`.
"""

import os
import signal
import time
from importlib.resources import files

import pytest

from tests.browser.laboratory import CHROMIUM

PLAYER, LANES = ".lab-player canvas.picture", ".lab-lanes canvas"
SLIDER = ".lab-player .scrub"
SYNCHRONOUS = (  # the player and the cursor are at the same frame
    f"document.querySelector('{PLAYER}').dataset.frame ==="
    f" document.querySelector('{LANES}').dataset.frame"
)
RATE = 25  # frames a second of the synthetic videos
FAILING = """
from anywidget import AnyWidget

class Broken(AnyWidget):
    _esm = "export default { render() { throw new Error('does not draw'); } }"

display(Broken())
1 / 0
"""
ERRORS = """
from imigue_lab.data.source import open_data
from imigue_lab.training.runs import find_run, runs_folder
from imigue_lab.views import answers
from imigue_lab.views.player.widgets import ErrorBrowser

runs = [find_run(path.name) for path in runs_folder().glob("emotion-*")]
run = next(run for run in runs if run.provenance()["where"]["data"] == {root!r})
ErrorBrowser(answers.read_predictions(run), open_data({root!r}))
"""
SILENT = """
import os
from pathlib import Path

from imigue_lab.data.source import open_data
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.player.widgets import Player

Path({file!r}).write_text(str(os.getpid()))
Player(Moment(open_data({root!r})))
"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here; make system installs it"
)


@pytest.fixture(scope="module")
def gates(desk, filmed_set):
    """Notebook 07, completely executed."""
    desk.put("07_gates", data=str(filmed_set))
    desk.run_all("07_gates.ipynb")
    desk.wait_for_frame(PLAYER)
    return desk


def test_a_cell_that_raises_and_a_widget_that_fails_are_detected(desk):
    desk.write("failing", FAILING)
    desk.run_all("failing.ipynb")
    desk.wait_until("document.body.innerText.includes('ZeroDivisionError')")
    assert "ZeroDivisionError" in desk.errors()[0]
    deadline = time.monotonic() + 20
    while not any("does not draw" in complaint for complaint in desk.complaints):
        assert time.monotonic() < deadline
        desk.page.wait_for_timeout(50)
    desk.complaints.clear()


def test_every_cell_runs_and_no_widget_reports_an_error(gates):
    assert not gates.errors()
    assert gates.count(".js-plotly-plot") == 3
    gates.shot(".jp-OutputArea .js-plotly-plot", "07_figure")
    gates.shot(".lab-player", "07_player")
    gates.shot(".lab-lanes", "07_lanes")


def test_dragging_the_slider_changes_the_picture_and_the_cursor(gates):
    frame = gates.settled(PLAYER, SLIDER)
    before = gates.canvas(PLAYER), gates.canvas(LANES)
    gates.drag(SLIDER, 0.1, 0.6)
    assert gates.settled(PLAYER, SLIDER) > frame + 20
    gates.wait_until(SYNCHRONOUS)
    assert gates.canvas(PLAYER) != before[0]
    assert gates.canvas(LANES) != before[1]


def test_clicking_a_lane_moves_the_player_there(gates):
    frame, before = gates.settled(PLAYER, SLIDER), gates.canvas(PLAYER)
    gates.click(LANES, 0.25)
    gates.wait_until(f"document.querySelector('{LANES}').dataset.frame !== '{frame}'")
    gates.wait_until(SYNCHRONOUS)
    assert gates.canvas(PLAYER) != before


def test_scrubbing_shows_the_picture_of_every_frame(gates):
    waits = gates.scrub_waits(PLAYER, SLIDER, shares=(0.9, 0.2, 0.7, 0.4, 0.6))
    assert min(waits) < 100  # ms; benchmarks.player holds the median to it, on a quiet machine


def test_it_plays_at_the_frame_rate_of_the_video(gates):
    gates.click(LANES, 0.05)
    gates.page.click(".lab-player .play")
    gates.page.wait_for_timeout(1000)  # for pictures
    first, start = gates.frame(PLAYER), time.monotonic()
    gates.page.wait_for_timeout(3000)
    frames, seconds = gates.frame(PLAYER) - first, time.monotonic() - start
    gates.page.click(".lab-player .play")
    assert frames / seconds == pytest.approx(RATE, rel=0.15)


def test_stepping_moves_by_one_frame(gates):
    frame = gates.settled(PLAYER, SLIDER)
    gates.page.click(".lab-player .on")
    gates.wait_until(f"Number(document.querySelector('{PLAYER}').dataset.frame) !== {frame}")
    assert gates.frame(PLAYER) == frame + 1
    gates.page.click(".lab-player .back")
    gates.wait_until(f"Number(document.querySelector('{PLAYER}').dataset.frame) !== {frame + 1}")
    assert gates.frame(PLAYER) == frame
    gates.assert_no_errors()


def test_the_ends_of_a_scale_have_the_digits_that_make_them_differ(gates):
    source = files("imigue_lab.views.player").joinpath("lanes.js").read_text()
    module = "URL.createObjectURL(new Blob([source], {type: 'text/javascript'}))"
    ends = f"async ([source, low, high]) => (await import({module})).ends(low, high)"
    for low, high, shown in (
        (0, 1, ["0", "1"]),
        (0.4951, 0.5043, ["0.495", "0.504"]),
        (0.50001, 0.50002, ["0.50001", "0.50002"]),
        (0.25, 0.25, ["0.25", "0.25"]),
    ):
        assert gates.page.evaluate(ends, [source, low, high]) == shown


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768)])
def test_player_and_lanes_fit_on_one_screen(gates, width, height):
    before = gates.page.viewport_size
    gates.page.set_viewport_size({"width": width, "height": height})
    gates.page.locator(PLAYER).first.scroll_into_view_if_needed()
    gates.shot(".widget-hbox:has(.lab-lanes)", f"gates-{width}")
    needed, visible = gates.page.evaluate(
        """() => {
          const both = document.querySelector(".lab-lanes").closest(".widget-hbox");
          const panel = document.querySelector(".jp-WindowedPanel-outer");
          return [both.getBoundingClientRect().height, panel.clientHeight];
        }"""
    )
    gates.page.set_viewport_size(before)
    assert 0 < needed <= visible


@pytest.mark.parametrize("part", ["", " .play", " .scrub", " .speed", ".lab-lanes"])
def test_the_arrow_keys_step_whatever_of_the_player_has_the_focus(gates, part):
    gates.page.focus(f".lab-player{part}")
    assert gates.page.evaluate(
        "(part) => document.activeElement.matches(part)", f".lab-player{part}"
    )
    frame = gates.settled(PLAYER, SLIDER)
    for key, target in (("ArrowRight", frame + 1), ("ArrowLeft", frame)):
        gates.page.keyboard.press(key)
        gates.wait_until(f"Number(document.querySelector('{PLAYER}').dataset.frame) === {target}")
    gates.page.keyboard.press("ArrowUp")
    assert gates.page.evaluate("document.activeElement.closest('.lab-player') !== null")
    assert gates.count(".jp-mod-collapsed, .jp-collapseHeadingButton.jp-mod-collapsed") == 0


def test_without_its_kernel_the_player_says_so_and_a_reopened_notebook_shows_the_still(gates):
    still, error = ".lab-still", ":text('Error displaying widget') >> visible=true"
    assert gates.count(still) == 1 and not gates.page.is_visible(still)
    gates.choose("File", "Save Notebook")
    gates.choose("Kernel", "Restart Kernel…")
    gates.page.click(".jp-Dialog .jp-mod-accept")
    said = "getComputedStyle(document.querySelector('.lab-player'), '::before').content"
    gates.wait_until(f"{said}.includes('No kernel')")
    gates.open("07_gates.ipynb")
    gates.page.locator(still).scroll_into_view_if_needed()
    gates.wait_until("document.body.textContent.includes('Error displaying widget')")
    assert gates.page.is_visible(still) and gates.count(error) == 0
    gates.shot(still, "07_reopened")
    gates.complaints.clear()


def test_a_player_whose_kernel_does_not_answer_says_so_until_it_does(desk, filmed_set):
    """Stopped for a while, as by a long cell, and then killed."""
    desk.write("silent", SILENT.format(root=str(filmed_set), file=str(desk.folder / "pid")))
    desk.run_all("silent.ipynb")
    desk.wait_for_frame(PLAYER)
    silent = ".lab-player .silent"
    kernel = int((desk.folder / "pid").read_text())
    assert desk.page.locator(silent).is_hidden()
    os.kill(kernel, signal.SIGSTOP)
    try:
        desk.drag(SLIDER, 0.1, 0.6)
        desk.page.wait_for_selector(silent, state="visible", timeout=20_000)
        desk.shot(".lab-player", "silent")
    finally:
        os.kill(kernel, signal.SIGCONT)
    desk.page.wait_for_selector(silent, state="hidden", timeout=20_000)
    frame = desk.settled(PLAYER, SLIDER)
    os.kill(kernel, signal.SIGKILL)
    desk.page.click(".jp-Dialog .jp-mod-accept")  # it appears to have died
    desk.drag(SLIDER, 0.6, 0.95)
    desk.page.wait_for_selector(silent, state="visible", timeout=20_000)
    assert desk.frame(PLAYER) == frame and "does not answer" in desk.page.inner_text(silent)
    desk.complaints.clear()


def test_a_clicked_cell_of_the_confusion_matrix_lists_and_plays_its_items(gates, filmed_set):
    desk = gates
    desk.write("errors", ERRORS.format(root=str(filmed_set)))
    desk.run_all("errors.ipynb")
    desk.wait_for_frame(PLAYER)
    assert not desk.errors()
    assert desk.page.inner_text(".lab-matrix .axes") == "predicted →\ntrue ↓"
    title = desk.page.inner_text(".lab-player .title")
    before = desk.canvas(PLAYER)
    desk.page.click(".lab-matrix button:not(:disabled) >> nth=0")
    desk.wait_until(f"document.querySelector('.lab-player .title').textContent !== '{title}'")
    desk.wait_for_frame(PLAYER)
    desk.wait_for_change(PLAYER, before)
    desk.shot(".jp-OutputArea-output:has(.lab-matrix)", "errors")
    desk.assert_no_errors()
