"""The streams of one network: each trained by itself, then fused."""

from imigue_lab.results.fuse import fuse
from imigue_lab.training.baselines.data import BaselineData, load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.runs import Run

WEIGHTS = {4: "2:2:1:1", 2: "1:1"}  # pyskl's, of joints, bones and their motions; joints and limbs


def train_streams(
    settings: BaselineSettings, data: BaselineData | None = None
) -> tuple[Run, list[Run]]:
    """The finished run of the settings, and the networks that predict in it: often itself alone.

    With `stream` `all` it is the fusion of a run for each stream, which is named after it. The
    weights are published, so nothing is fitted to the held-out clips. `data` is what
    `load_baseline_data(settings)` returns, if loaded already.
    """
    if settings.stream != "all":
        run = train_baseline(settings, data)
        return run, [run]
    data, runs = data or load_baseline_data(settings), []
    for stream in settings.streams:
        name = settings.name and f"{settings.name}-{stream}"
        own = settings.model_copy(update={"stream": stream, "name": name})
        runs.append(train_baseline(own, data))
    names = [run.folder.name for run in runs]
    return fuse(names, WEIGHTS[len(names)], settings.name, settings.seed), runs
