"""Names out of tables that contain markup: pages and widgets show them as text."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.views import answers, contents
from imigue_lab.views.card import write_card
from imigue_lab.views.export import save_figures
from tests.browser.laboratory import CHROMIUM

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
