"""How long an extraction will take, from two windows of its first file; nothing is stored."""

import time
from typing import NamedTuple

import numpy as np

from imigue_lab.data.video import Video
from imigue_lab.data.videos.windows import window_frames
from imigue_lab.errors import DataError
from imigue_lab.features.plan import Plan
from imigue_lab.features.streams import Window


class Trial(NamedTuple):
    """What two windows cost; the first is slower by what happens once.

    Attributes:
        seconds: of each window, through all streams.
        windows: of the whole extraction.
    """

    seconds: list[float]
    windows: int

    def __str__(self) -> str:
        each = self.seconds[-1]
        told = " and ".join(f"{seconds:.2f}" for seconds in self.seconds)
        whole = time.strftime("%H:%M:%S", time.gmtime(each * self.windows % 86_400))
        days = int(each * self.windows // 86_400)
        whole = f"{days} days and {whole}" if days else whole
        return f"tried {len(self.seconds)} windows: {told} s; all {self.windows} take about {whole}"


def try_out(plan: Plan, windows: int = 2) -> Trial:
    """Shows the first windows of the first file to every stream that has something to do there.

    Raises:
        DataError: there is nothing to do, or the file is too short or cannot be read.
    """
    if not plan.jobs:
        raise DataError(f"{plan.root}: {plan.todo()}; there is nothing to try")
    job = plan.jobs[0]
    streams = list(dict.fromkeys(due.stream for due in job.dues))
    seconds = []
    with Video(job.source) as video:
        frames = window_frames(len(video))[:windows]
        if not frames:
            raise DataError(f"{job.source}: too short for a window; leave it out")
        gatherings = [stream.begin(len(video)) for stream in streams]
        for number, indices in enumerate(frames):
            started = time.perf_counter()
            window = Window(number, np.stack([video.frame(i) for i in indices]), indices)
            for stream, gathering in zip(streams, gatherings, strict=True):
                gathering.take(window)
                stream.flush()
            seconds.append(time.perf_counter() - started)
    return Trial(seconds, sum(job.windows for job in plan.jobs))
