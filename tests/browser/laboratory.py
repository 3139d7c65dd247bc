"""A JupyterLab of its own and a headless Chromium that works in it."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from hashlib import blake2b
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
OURS = ("anywidget", "lab-", "blob:", "Failed to load model")  # what a widget's complaint mentions
PATIENCE = 120_000  # ms until a notebook has run
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"


@contextlib.contextmanager
def jupyter_lab(folder: Path):
    """The address, with its token, of a server that ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    home = folder / ".jupyter"
    words = [sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ip=127.0.0.1"]
    words += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    words += [f"--notebook-dir={folder}"]
    quiet = home / "s" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True, exist_ok=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    places = {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_RUNTIME_DIR": str(home / "run")}
    places |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "s"), "JUPYTERLAB_WORKSPACES_DIR": str(home)}
    places |= {"IPYTHONDIR": str(home / "ipython")}
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | places, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                break
            time.sleep(0.1)
        yield f"{address}/lab/tree/{{}}?token={token}&reset"
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


class Desk:
    """One open notebook in the browser.

    Attributes:
        complaints: of the console, where one of our widgets is concerned; and page errors.
    """

    def __init__(self, page, address: str, pictures: Path):
        self.page, self.address, self.pictures = page, address, pictures
        self.complaints = []
        page.on("console", lambda said: said.type == "error" and self.note(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def note(self, text: str) -> None:
        if any(word in text for word in OURS):
            self.complaints.append(text)

    def run_all(self, notebook: str) -> None:
        """Opens a notebook and runs every cell."""
        page = self.page
        page.goto(self.address.format(notebook))
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.wait_for_selector(".jp-StatusBar-Widget :text('| Idle')", timeout=60_000)
        for _ in range(10):  # what is run before the kernel listens is lost
            page.click(".lm-MenuBar-itemLabel:text-is('Run')")
            page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
            page.wait_for_timeout(1500)
            if page.evaluate(PROMPTS + ".some((p) => /[\\d*]/.test(p.textContent))"):
                break
        page.wait_for_function(
            PROMPTS + ".every((p) => /\\[\\d+\\]/.test(p.textContent))", timeout=PATIENCE
        )

    def errors(self) -> list[str]:
        """What cells raised."""
        found = self.page.query_selector_all("[data-mime-type='application/vnd.jupyter.error']")
        return [error.inner_text() for error in found]

    def shot(self, selector: str, name: str = "") -> str:
        """The hash of an element's picture; `name` keeps the picture."""
        element = self.page.locator(selector).first
        element.scroll_into_view_if_needed()
        content = element.screenshot()
        if name:
            (self.pictures / f"{name}.png").write_bytes(content)
        return blake2b(content).hexdigest()

    def canvas(self, selector: str) -> str:
        """The hash of what a canvas shows."""
        drawn = self.page.locator(selector).first.evaluate("c => c.toDataURL()")
        return blake2b(drawn.encode()).hexdigest()
