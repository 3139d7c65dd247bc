"""One pass over each video: its frames are decoded once and handed to everything that wants them.

An item is written when its last result is there, whole or not at all, and is never made again. So
a run that was killed goes on where it stood, and several processes share the work by taking every
n-th file.
"""

import time
from contextlib import closing, suppress
from dataclasses import dataclass, field

from tqdm import tqdm

from imigue_lab.data.store import EncoderStore
from imigue_lab.data.videos.video import Video, probe, segment_centres, window_frames
from imigue_lab.data.workspace import write_atomically
from imigue_lab.errors import DataError, LabError
from imigue_lab.features.flow import ahead
from imigue_lab.features.plan import Due, Job, Plan
from imigue_lab.features.streams import Gathering, Window

SMALLEST = 16  # pixels of a picture's shorter side below which it is refused
WHOLE = ""  # names the windows of a whole file, which all of its video items share


@dataclass
class Report:
    """What an extraction did.

    Attributes:
        failed: (encoder, item) -> the sentence that says why.
    """

    stores: list[EncoderStore]
    made: int = 0
    windows: int = 0
    seconds: float = 0
    failed: dict[tuple[str, str], str] = field(default_factory=dict)

    def fail(self, due: Due, error: LabError) -> None:
        """Notes once why an item could not be made, here and, where that can be, in the store."""
        key = due.store.encoding.name, due.item
        if key in self.failed:
            return
        self.failed[key] = str(error)
        with suppress(LabError):  # a store that takes nothing takes no note either
            due.store.fail(due.item, str(error))

    def __str__(self) -> str:
        rate = self.windows / self.seconds if self.seconds else 0
        done = f"made {self.made} items: {self.windows} windows in {self.seconds:.0f} s"
        lines = [f"{done}, {rate:.1f} windows/s"]
        if self.failed:
            lines.append(f"failed: {len(self.failed)} items")
        return "\n".join([*lines, *(f"  {why}" for why in dict.fromkeys(self.failed.values()))])


@dataclass
class Item:
    """An item on its way; `to_see` of its windows were not seen yet."""

    due: Due
    job: Job
    gathering: Gathering
    to_see: int

    def take(self, window: Window) -> None:
        self.gathering.take(window)
        self.to_see -= 1


def extract(plan: Plan, part: tuple[int, int] = (0, 1)) -> Report:
    """Makes what is due; a file that cannot be read is noted, and the others are still made.

    Args:
        part: which of how many processes this is, such as (0, 2); each takes every n-th file of
            the data, so one that begins late leaves out no file and takes none twice.
    """
    rank, processes = part
    jobs = [job for job in plan.jobs if job.place % processes == rank]
    report, started = Report(plan.stores), time.perf_counter()
    under_way: list[Item] = []
    windows = sum(job.windows for job in jobs)
    with tqdm(total=windows, desc="extract", unit="window", disable=not jobs) as bar:
        for job in jobs:
            under_way += look_at(job, report, bar)
            under_way = settle(under_way, report)
        for item in under_way:
            item.due.stream.flush()
        settle(under_way, report)
    report.seconds = time.perf_counter() - started
    for store in plan.stores if jobs else []:
        write_manifest(store)
    return report


def write_manifest(store: EncoderStore) -> None:
    """Writes what the store holds, and again where another process has added to it meanwhile."""
    written = None
    while (found := store.manifest().to_csv(index=False)) != written:
        write_atomically(store.folder / "manifest.csv", found)
        written = found


def look_at(job: Job, report: Report, bar: tqdm) -> list[Item]:
    """Shows the windows of one file to its items; gives those that saw all of theirs."""
    items: dict[str, list[Item]] = {}
    try:
        with Video(job.source) as video:
            check(video)
            wanted = begin(job, video, items, report)
            with closing(ahead(video.clips(wanted))) as shots:
                for (name, number), frames in shots:
                    for item in items[name]:
                        item.take(Window(number, frames, wanted[name, number]))
                    report.windows += 1
                    bar.update()
    except DataError as error:
        seen = [item.due for mine in items.values() for item in mine if not item.to_see]
        for due in job.dues:
            if due not in seen:
                report.fail(due, error)
    return [item for mine in items.values() for item in mine if not item.to_see]


def begin(
    job: Job, video: Video, items: dict[str, list[Item]], report: Report
) -> dict[tuple[str, int], list[int]]:
    """Opens the items of a file, into `items`, and says which frames each window holds.

    A clip that ends after the last frame is noted; the other clips of its file are still made.
    """
    wanted: dict[tuple[str, int], list[int]] = {}
    for due in job.dues:
        name = WHOLE if due.stream.unit == "video" else due.item
        try:
            windows = frames_of(due, video)
        except DataError as error:
            report.fail(due, error)
            continue
        wanted |= {(name, number): frames for number, frames in enumerate(windows)}
        gathering = due.stream.begin(len(video))
        items.setdefault(name, []).append(Item(due, job, gathering, len(windows)))
    return wanted


def frames_of(due: Due, video: Video) -> list[list[int]]:
    """Frame indices of each window of an item.

    Raises:
        DataError: a video too short for a window, or a clip that its file does not hold.
    """
    if due.stream.unit == "video":
        if windows := window_frames(len(video)):
            return windows
        raise DataError(
            f"{video.path}: holds {len(video)} frames, a window needs at least 8; leave it out"
        )
    start, end = due.span or (0, len(video) - 1)
    if start > end:
        raise DataError(f"{video.path}: clip {due.item} ends before it begins; correct its range")
    video.check_range(start, end)
    return [segment_centres(start, end)]


def check(video: Video) -> None:
    """Refuses what would give features of something else than the interview."""
    info, header = probe(video.path), video.table.header
    if header not in (0, len(video)):
        raise DataError(
            f"{video.path}: the header says {header} frames and {len(video)} are there; it is cut"
            " off or damaged: copy it again"
        )
    if info.fps <= 0:
        raise DataError(f"{video.path}: its frame rate is 0; write the file anew with its rate")
    if min(info.width, info.height) < SMALLEST:
        raise DataError(
            f"{video.path}: pictures of {info.width} x {info.height} pixels, at least {SMALLEST} a"
            " side are needed; copy it again"
        )


def settle(items: list[Item], report: Report) -> list[Item]:
    """Writes items whose results are all there; gives those that still wait."""
    waiting = []
    for item in items:
        if item.gathering.waiting:
            waiting.append(item)
            continue
        features, facts = item.gathering.features()
        try:
            item.due.store.write(item.due.item, features, item.job.source, facts)
            report.made += 1
        except LabError as error:
            report.fail(item.due, error)
    return waiting
