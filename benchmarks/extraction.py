"""Extraction compared with its networks alone, beside busy programs, and its memory.

python -m benchmarks.extraction           about 4 minutes on two cores
python -m benchmarks.extraction --full    and the full networks on a minute of 720p, 4 minutes more

`extract/encoder` is the time of the networks alone (detector, MViTv2-S, SwinFace, each on the same
batches) divided by the time of the whole extraction including decoding and writing. The row with
two busy programs is the speed of an extraction beside them divided by its speed alone, in the same
process and in turns. `extract memory` is the peak of a process with simulated networks behind the
real decoding, tracking, cropping and batches.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.store import find_store
from imigue_lab.data.synthetic.recording import record
from imigue_lab.data.synthetic.story import SyntheticSpec, plan
from imigue_lab.data.videos.video import write_video
from imigue_lab.features.catalogue import build_streams
from imigue_lab.features.detectors import CenterFace, Faces
from imigue_lab.features.encoders import fastest_precision
from imigue_lab.features.extraction import plan_extraction, run_extraction
from imigue_lab.features.streams import Stream
from imigue_lab.training.session import MIB, peak_memory

HEIGHTS = (360, 720)
WINDOWS, ROUNDS = 4, 3
MANY = 100  # windows of the extraction beside busy programs
CPU = torch.device("cpu")
Calls = list[tuple[Callable[..., Any], tuple]]  # a network, and its arguments


def interview(height: int) -> Iterator[np.ndarray]:
    """A synthetic person in the middle of a large picture, whose face CenterFace detects."""
    spec = SyntheticSpec(videos=1)
    film, scale = record(plan(spec)[0], spec), height // 360
    size = (192 * scale, 144 * scale)
    wall = np.random.default_rng(0).integers(90, 160, (height // 8, height // 4, 3))
    wall = wall.astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)[:, : height * 16 // 9]
    for number in np.flatnonzero(film.scene.face_seen):
        frame = wall.copy()
        top, left = (frame.shape[0] - size[1]) // 2, (frame.shape[1] - size[0]) // 2
        person = Image.fromarray(film.picture(int(number))).resize(size)
        frame[top : top + size[1], left : left + size[0]] = np.asarray(person)
        yield frame


def film(root: Path, height: int, frames: int) -> Path:
    """A folder with one video, repeated to the requested length."""
    root.mkdir()
    short = root / "short.mkv"
    write_video(short, itertools.islice(interview(height), WINDOWS * 16), 25)
    repeat(short, root / f"{height}p.mp4", frames // (WINDOWS * 16))
    short.unlink()
    return root


def repeat(source: Path, target: Path, times: int) -> None:
    """Writes the packets of a file several times in a row, without encoding again."""
    with av.open(str(target), "w", format="mp4") as out:
        shift, stream = 0, None
        for _ in range(times):
            with av.open(str(source)) as file:
                stream = stream or out.add_stream_from_template(file.streams.video[0])
                last = 0
                for packet in file.demux(video=0):
                    if packet.size:
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        last = max(last, packet.pts + packet.duration)
                        packet.stream = stream
                        out.mux(packet)
                shift = last


def recorded(network: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        calls.append((network, args))
        return network(*args)

    return run


def once(root: Path, streams: list[Stream], folder: Path) -> float:
    """Seconds of one extraction of everything."""
    plan = plan_extraction(read_index(root), streams, str(folder))
    started = time.perf_counter()
    report = run_extraction(plan)
    assert report.extracted == len(streams) and not report.failed, report
    return time.perf_counter() - started


def compare(root: Path, folder: Path) -> None:
    """Prints the ratio for one video, and the time of each network."""
    context, face = build_streams("context-mvitv2s,face-swinface", CPU)
    once(root, [context, face], folder / "warm")
    networks: dict[str, Calls] = {"detector": [], "MViTv2-S": [], "SwinFace": []}
    detector = face.detector.detector  # of those that streams share
    session, clip, embed = detector.session, context.batches.network, face.batches.network
    context.batches.network = recorded(clip, networks["MViTv2-S"])
    face.batches.network = recorded(embed, networks["SwinFace"])
    bare = CenterFace(torch.get_num_threads()).session

    class RecordedSession:
        def run(self, *args: Any) -> Any:
            networks["detector"].append((bare.run, args))
            return session.run(*args)

    detector.session = RecordedSession()
    once(root, [context, face], folder / "recorded")
    context.batches.network, face.batches.network, detector.session = clip, embed, session
    ours, alone = [], {name: [] for name in networks}
    pool = ThreadPoolExecutor(torch.get_num_threads())
    for number in range(ROUNDS):
        ours.append(once(root, [context, face], folder / str(number)))
        for name, calls in networks.items():
            started = time.perf_counter()
            for network, args in calls:
                network(*args)
            alone[name].append(time.perf_counter() - started)
        started = time.perf_counter()
        list(pool.map(lambda call: session.run(*call[1]), networks["detector"]))
        alone["detector"][-1] = min(alone["detector"][-1], time.perf_counter() - started)
    parts = {name: float(np.median(seconds)) for name, seconds in alone.items()}
    whole = float(np.median(ours))
    by_network = ", ".join(f"{name} {seconds / WINDOWS:.2f}" for name, seconds in parts.items())
    print(
        f"extract/encoder, {root.name}, {fastest_precision(CPU)}: {sum(parts.values()) / whole:.2f}"
        f" ({whole / WINDOWS:.2f} s a window; {by_network} s)"
    )


def deviation(root: Path, folder: Path) -> None:
    """Prints the deviation of bf16 from float32 on the features of one video."""
    rows = {}
    for precision in ("float32", "bf16"):
        streams = build_streams("context-mvitv2s,face-swinface", CPU, precision=precision)
        once(root, streams, folder / precision)
        for stream, name in zip(streams, ("context", "face"), strict=True):
            store = find_store(str(folder / precision), read_index(root), stream.encoding.name)
            rows[precision, name] = store.read(next(root.glob("*.mp4")).stem)[name].astype(float)
    for name in ("context", "face"):
        exact, rounded = rows["float32", name], rows["bf16", name]
        apart = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
        print(f"bf16 against float32, {name}: {100 * apart:.2f} % of the norm (untrained weights)")


class FixedFace:
    """A simulated detector: one face in the middle of every frame."""

    recipe, has_points = "fixed", False

    def __call__(self, frame: np.ndarray) -> Faces:
        height, width = frame.shape[:2]
        box = np.array([[width * 0.4, height * 0.3, width * 0.6, height * 0.7]], np.float32)
        return Faces(box, np.ones(1, np.float32))


def peak(root: Path, folder: Path, full: bool) -> float:
    """Peak memory in MB of an extraction in a separate process."""
    command = [sys.executable, "-m", "benchmarks.extraction", "peak", str(root), str(folder)]
    output = subprocess.run(
        command + ["full"] * full, capture_output=True, text=True, check=True, env=os.environ
    )
    return float(output.stdout.split()[-1])


def print_peak(root: Path, folder: Path, full: bool) -> None:
    context, face = build_streams("context-mvitv2s,face-swinface" if full else "tiny", CPU)[:2]
    if not full:
        face.detector = FixedFace()
        context.batches.network = lambda clips: clips.float().mean(dim=(2, 3, 4))
        face.batches.network = lambda faces: faces.float().mean(dim=(2, 3)).repeat(1, 64)[:, :64]
    once(root, [context, face], folder)
    print(peak_memory() / MIB)


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Runs `count` single-threaded programs that never wait."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def share_beside_busy_programs(root: Path, folder: Path) -> None:
    """Prints the speed of an extraction with two busy programs beside it over its speed alone."""
    streams = build_streams("context-tiny,face-tiny", CPU)
    once(root, streams, folder / "warm")
    alone, beside = [], []
    for number in range(ROUNDS):
        alone.append(once(root, streams, folder / f"alone {number}"))
        with busy_programs(2):
            beside.append(once(root, streams, folder / f"beside {number}"))
    quiet, busy = float(np.median(alone)), float(np.median(beside))
    print(
        f"extraction with two busy single-threaded programs beside it against alone:"
        f" {quiet / busy:.2f} ({MANY / busy:.1f} and {MANY / quiet:.1f} windows/s,"
        f" tiny encoders, {MANY} windows of 360p)"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["IMIGUE_LAB_HOME"] = str(folder / "home")
        for height in HEIGHTS:
            compare(film(folder / f"{height}p", height, WINDOWS * 16), folder / f"store {height}")
        deviation(folder / "360p", folder / "precisions")
        share_beside_busy_programs(film(folder / "many", 360, MANY * 16), folder / "beside")
        minute, ten = film(folder / "1 min", 720, 1500), film(folder / "10 min", 720, 15000)
        short, long = peak(minute, folder / "a", False), peak(ten, folder / "b", False)
        print(
            f"extract memory, 720p: {short:.0f} MB for 1 minute, {long:.0f} MB for 10:"
            f" {long - short:+.0f} MB"
        )
        if "--full" in sys.argv:
            print(f"full networks, 1 minute of 720p: {peak(minute, folder / 'c', True):.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        print_peak(Path(sys.argv[2]), Path(sys.argv[3]), "full" in sys.argv)
    else:
        main()
