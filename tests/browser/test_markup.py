"""Names out of tables that contain markup: pages and widgets show them as text."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.views import answers, contents
from imigue_lab.views.card import write_card
from imigue_lab.views.export import as_div, save_figures, write_page
from tests.browser.laboratory import CHROMIUM
from tests.views.marked import marked_figures

HARM = "<img src=x onerror=document.title='harm'>"
NAMES = [f"nod {HARM}", "<b>wave</b> & <i>clap</i>", "rub\n<script>document.title='harm'</script>"]
SHOWN = 16  # letters of a name that every place shows

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here; make system installs it"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Clips of eight people, whose names and classes contain markup."""
    root, rng = tmp_path_factory.mktemp("markup") / "talks", np.random.default_rng(0)
    (root / "keypoints").mkdir(parents=True)
    videos, clips = [], []
    for number in range(8):
        video_id = f"talk{number}"  # ids with markup are refused
        split = ("train", "train", "validation", "test")[number % 4]
        videos.append((video_id, split, f"{number} {HARM}"))
        np.save(root / "keypoints" / f"{video_id}.npy", rng.uniform(100, 400, size=(24, 22, 2)))
        for row, name in enumerate(NAMES):
            clips.append((f"{video_id}_{row}", video_id, 8 * row, 8 * row + 7, name))
    columns = ["clip_id", "video_id", "start", "end", "class"]
    pd.DataFrame(clips, columns=columns).to_csv(root / "clips.csv", index=False)
    columns = ["video_id", "split", "subject"]
    pd.DataFrame(videos, columns=columns).to_csv(root / "videos.csv", index=False)
    return root


@pytest.fixture(scope="module")
def run(root):
    given = {"data": str(root), "frames": 8, "epochs": 1, "name": "markup"}
    return train_baseline(BaselineSettings.from_arguments(given))


CELL = """
from imigue_lab.data.source import open_data
from imigue_lab.training.runs import find_run
from imigue_lab.views import answers
from imigue_lab.views.player.widgets import ErrorBrowser

run = find_run("markup")
scored = answers.read_predictions(run)
display(answers.hardest(scored, 10), *answers.error_figures(run, scored).values())
ErrorBrowser(scored, open_data({root!r}), run)
"""


def test_names_with_markup_are_text_in_pages_and_widgets(desk, run, root):
    from imigue_lab.data.source import open_data

    scored, index = answers.read_predictions(run), open_data(str(root))
    figures = answers.error_figures(run, scored)
    figures |= {"counts": contents.class_counts(index), "joints": contents.joint_quality(index)}
    desk.write("markup", CELL.format(root=str(root)))
    desk.run_all("markup.ipynb")
    desk.page.wait_for_selector("select[size] option")
    desk.assert_no_errors()
    pages = [write_card(run), save_figures(run, "markup", figures)]
    check(desk.page, ["option", "th, td"])
    for path in pages:
        page = desk.page.context.browser.new_page()
        page.goto(path.as_uri())
        drawn = "!document.querySelector('.js-plotly-plot:not(:has(.ytick))')"
        page.wait_for_function(drawn)
        check(page, [".ytick text"] + ["td"] * (path == pages[0]))
        page.close()


def check(page, places):
    """Nothing ran or became an element, and each of these places shows both names as they are."""
    assert page.title() != "harm" and not page.locator("img[src=x]").count()
    for place in places:
        texts = [t.replace("\xa0", " ") for t in page.locator(place).all_text_contents()]
        for name in NAMES[:2]:
            assert any(name[:SHOWN] in text for text in texts), (place, name, texts)


MADE = "svg a, svg tspan[style*='bold'], svg tspan[style*='italic']"  # by plotly, of markup
HOVER = """
async (made) => {
  const later = () => new Promise((done) => setTimeout(done));
  const shown = [];
  let elements = 0;
  for (const div of document.querySelectorAll(".js-plotly-plot")) {
    const texts = new Set();
    const read = () => {
      for (const own of div.querySelectorAll("text")) texts.add(own.textContent);
      elements += div.querySelectorAll(made).length;
    };
    const frames = div._transitionData._frames;
    if (frames.length) {
      const still = { mode: "immediate", transition: { duration: 0 }, frame: { duration: 0 } };
      await Plotly.animate(div, [frames.at(-1).name], still);
    }
    read();
    for (const trace of div._fullData) {
      if (trace.visible !== true) continue;
      const ofCells = ["image", "heatmap"].includes(trace.type);
      const count = ofCells ? 1 : (trace.x ?? trace.y).length;
      for (let point = 0; point < Math.min(count, 8); point++) {
        const subplot = trace.xaxis + trace.yaxis;
        const spot = [{ curveNumber: trace.index, pointNumber: point }];
        Plotly.Fx.hover(div, ofCells ? { xval: 1, yval: 1 } : spot, subplot);
        await later();
        read();
        Plotly.Fx.unhover(div);
      }
    }
    shown.push([...texts].join("\\n"));
  }
  return [shown, elements];
}
"""


def test_names_with_markup_are_text_in_every_figure_and_its_hover_lines(desk, tmp_path):
    figures = marked_figures(tmp_path)
    body = "".join(as_div(figure, default_width="1000px") for figure, _ in figures.values())
    page = desk.page.context.browser.new_page()
    page.goto(write_page(tmp_path / "all.html", "all", body).as_uri())
    page.wait_for_function(f"document.querySelectorAll('.main-svg').length >= {2 * len(figures)}")
    shown, elements = page.evaluate(HOVER, MADE)
    assert not elements
    for (name, (_, texts)), found in zip(figures.items(), shown, strict=True):
        missing = [text for text in texts if without_spaces(text) not in without_spaces(found)]
        assert not missing, (name, missing, found)
    page.close()


def without_spaces(text):
    """Lines are broken at spaces, and plotly draws some of them as no-break spaces."""
    return "".join(text.split())
