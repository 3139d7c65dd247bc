"""A JupyterLab server for the tests, and a headless Chromium that opens notebooks in it."""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from hashlib import blake2b
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
OURS = (
    "anywidget",
    "lab-",
    "blob:",
    "Failed to load model",
)  # marks of an error message of a widget
TIMEOUT = 120_000  # ms until a notebook has run
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"


@contextlib.contextmanager
def jupyter_lab(folder: Path):
    """Runs a server; yields its address, with token, as a format string of the notebook."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    home = folder / ".jupyter"
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--notebook-dir={folder}"]
    quiet = home / "s" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True, exist_ok=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    places = {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_RUNTIME_DIR": str(home / "run")}
    places |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "s"), "JUPYTERLAB_WORKSPACES_DIR": str(home)}
    places |= {"IPYTHONDIR": str(home / "ipython")}
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | places, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):  # two minutes on a busy machine
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
    """The browser in which notebooks are opened, one at a time.

    Attributes:
        complaints: console errors of our widgets, and errors of the page.
    """

    def __init__(self, page, address: str, folder: Path, pictures: Path):
        self.page, self.address, self.folder, self.pictures = page, address, folder, pictures
        self.complaints = []
        page.on("console", lambda message: message.type == "error" and self.note(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def note(self, text: str) -> None:
        if any(word in text for word in OURS):
            self.complaints.append(text)

    def put(self, name: str, **parameters: str) -> None:
        """Copies a committed notebook to the server, with some of its parameters changed."""
        book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        cell = next(c for c in book.cells if c.metadata.get("tags") == ["parameters"])
        for key, value in parameters.items():
            cell.source, found = re.subn(
                rf"^({key}: \w+ = )\S+", rf"\g<1>{value!r}", cell.source, flags=re.MULTILINE
            )
            assert found == 1, key
        nbformat.write(book, self.folder / f"{name}.ipynb")

    def write(self, name: str, code: str) -> None:
        """Writes a notebook of one cell to the server."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code.strip())])
        book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(book, self.folder / f"{name}.ipynb")

    def open(self, notebook: str) -> None:
        self.page.goto(self.address.format(notebook))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)

    def run_all(self, notebook: str) -> None:
        """Opens a notebook and runs every cell."""
        page = self.page
        self.open(notebook)
        page.wait_for_selector(".jp-StatusBar-Widget :text('| Idle')", timeout=60_000)
        for _ in range(10):  # the kernel ignores cells that are run before it is ready
            self.choose("Run", "Run All Cells")
            page.wait_for_timeout(1500)
            if page.evaluate(PROMPTS + ".some((p) => /[\\d*]/.test(p.textContent))"):
                break
        self.wait_until(PROMPTS + ".every((p) => /\\[\\d+\\]/.test(p.textContent))", TIMEOUT)

    def choose(self, menu: str, item: str) -> None:
        """Chooses an item of the menu bar."""
        self.page.click(f".lm-MenuBar-itemLabel:text-is('{menu}')")
        self.page.click(f".lm-Menu-itemLabel:text-is('{item}')")

    def wait_until(self, true: str, timeout: int = 20_000) -> None:
        self.page.wait_for_function(true, timeout=timeout)

    def wait_for_frame(self, canvas: str) -> None:
        """Waits until the player shows its first picture."""
        self.page.locator(canvas).first.scroll_into_view_if_needed()
        self.page.wait_for_selector(f"{canvas}[data-frame]", timeout=30_000)

    def frame(self, canvas: str) -> int:
        return int(self.page.get_attribute(canvas, "data-frame"))

    def settled(self, canvas: str, slider: str) -> int:
        """The frame of the player's slider, once its picture is shown."""
        place = f"document.querySelector('{slider}').value"
        self.wait_until(f"document.querySelector('{canvas}').dataset.frame === {place}")
        return self.frame(canvas)

    def wait_for_change(self, canvas: str, before: str) -> None:
        """Waits until the content of a canvas no longer has this hash."""
        deadline = time.monotonic() + 20
        while self.canvas(canvas) == before:
            assert time.monotonic() < deadline, f"{canvas} did not change"
            self.page.wait_for_timeout(20)

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def errors(self) -> list[str]:
        """Tracebacks of cells, and widget models that could not be loaded."""
        found = self.page.locator(".jp-OutputArea-output").all_inner_texts()
        signs = ("Traceback (most recent call last)", "Error displaying widget")
        return [text for text in found if any(sign in text for sign in signs)]

    def assert_no_errors(self) -> None:
        """Fails if a cell raised or a widget reported an error."""
        assert not self.errors()
        assert not self.complaints

    def click(self, selector: str, share: float) -> None:
        """Clicks on an element, at a share of its width from the left."""
        place = self.page.locator(selector).first
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        place.click(position={"x": share * box["width"], "y": 30})

    def drag(self, selector: str, start: float, end: float) -> None:
        """Drags over an element from one share of its width to another."""
        place = self.page.locator(selector).first
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        y = box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(box["x"] + start * box["width"], y)
        mouse.down()
        mouse.move(box["x"] + end * box["width"], y, steps=10)
        mouse.up()

    def scrub_waits(self, canvas: str, slider: str, shares: tuple[float, ...]) -> list[float]:
        """Milliseconds from moving the slider until its frame is shown, for each share.

        Fails if a picture takes 10 seconds.
        """
        return [
            self.page.evaluate(
                """async ([canvas, slider, share]) => {
                  const [picture, bar] = [canvas, slider].map((s) => document.querySelector(s));
                  const target = Math.round(+bar.min + share * (bar.max - bar.min));
                  const start = performance.now();
                  bar.value = target;
                  bar.dispatchEvent(new Event("input"));
                  while (+picture.dataset.frame !== target) {
                    if (performance.now() - start > 10000) throw new Error("no picture");
                    await new Promise((later) => setTimeout(later, 1));
                  }
                  return performance.now() - start;
                }""",
                [canvas, slider, share],
            )
            for share in shares
        ]

    def shot(self, selector: str, name: str) -> None:
        """Saves a screenshot of an element."""
        element = self.page.locator(selector).first
        element.scroll_into_view_if_needed()
        element.screenshot(path=self.pictures / f"{name}.png")

    def canvas(self, selector: str) -> str:
        """The hash of the content of a canvas."""
        drawn = self.page.locator(selector).first.evaluate("c => c.toDataURL()")
        return blake2b(drawn.encode()).hexdigest()
