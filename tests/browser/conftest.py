"""One JupyterLab and one browser for all tests of this folder, and a synthetic data set."""

from pathlib import Path

import pytest

from tests.browser.laboratory import CHROMIUM, FLAGS, Desk, jupyter_lab

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def filmed_set(tmp_path_factory):
    """The root of 24 synthetic interviews with videos; their features are in the store."""
    from imigue_lab.data.synthetic.story import SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    return make_data(
        tmp_path_factory.mktemp("filmed") / "interviews", SyntheticSpec(videos=24)
    ).root


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """The browser that opens notebooks; screenshots are saved in `workspace/browser`."""
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("lab")
    pictures = CHECKOUT / "workspace" / "browser"
    pictures.mkdir(parents=True, exist_ok=True)
    with jupyter_lab(folder) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1300, "height": 1700})
        yield Desk(page, address, folder, pictures)
        browser.close()
