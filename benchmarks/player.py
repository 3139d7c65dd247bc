"""How long the players of notebooks 06 and 07 wait for a picture when the slider moves.

    python -m benchmarks.player        2 minutes on one core; needs Chromium (`make system`)

Both run as committed in JupyterLab and a headless Chromium, on their demo runs. Every wait is from
moving the slider to a frame that was not shown before until its picture is drawn. Fails if
the median of a notebook is not below 100 ms.
"""

import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from tests.browser.laboratory import CHROMIUM, FLAGS, Desk, jupyter_lab

PLAYER, SLIDER = ".lab-player canvas.picture", ".lab-player .scrub"
SHARES = tuple(np.random.default_rng(0).permutation(np.linspace(0.02, 0.98, 40)).tolist())


def main() -> None:
    assert CHROMIUM, "no Chromium here; make system installs it"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as play:
        folder = Path(name)
        with jupyter_lab(folder) as address:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            desk = Desk(page, address, folder, folder)
            for notebook in ("06_attention", "07_gates"):
                desk.put(notebook)
                desk.run_all(f"{notebook}.ipynb")
                desk.wait_for_frame(PLAYER)
                waits = desk.scrub_waits(PLAYER, SLIDER, SHARES)
                median, most = np.median(waits), np.max(waits)
                print(f"{notebook}: median {median:.0f} ms, slowest of {len(waits)} {most:.0f} ms")
                assert median < 100
            browser.close()


if __name__ == "__main__":
    main()
