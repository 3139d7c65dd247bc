"""The streams of one network: each trained by itself, then fused."""

from imigue_lab.data.splits import FOLDS
from imigue_lab.results.fuse import fuse
from imigue_lab.training.baselines.data import BaselineData, load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.runs import Run

PUBLISHED = {4: "2:2:1:1", 2: "1:1"}  # pyskl's, of joints, bones and motions; joints and limbs


def train_streams(
    settings: BaselineSettings, data: BaselineData | None = None
) -> tuple[Run, list[Run]]:
    """The finished run of the settings, and the networks that predict in it: often itself alone.

    With `stream` `all` it is the fusion of a run for each stream, which is named after it. With
    `weights` `folds` each stream is trained on five subject folds as well, whose out-of-fold scores
    give the weights; the published ones are fitted to nothing. `data` is what
    `load_baseline_data(settings)` returns, if loaded already.
    """
    if settings.stream != "all":
        run = train_baseline(settings, data)
        return run, [run]
    data = data or load_baseline_data(settings)
    runs = [train_baseline(own, data) for own in each_stream(settings, settings.name)]
    names, weights = [run.folder.name for run in runs], "folds"
    if settings.weights == "published":
        weights = PUBLISHED[len(names)]
        print(f"note: streams are fused by the published weights {weights}; weights=folds fits own")
    else:
        for fold in range(FOLDS):
            held_out = settings.model_copy(update={"fold": fold, "refit": False})
            data = load_baseline_data(held_out)
            for own in each_stream(held_out, ""):
                train_baseline(own, data)
    return fuse(names, weights, settings.name, settings.seed), runs


def each_stream(settings: BaselineSettings, name: str) -> list[BaselineSettings]:
    """The settings of one run per stream, named after it; without a name by their settings."""
    return [
        settings.model_copy(
            update={"stream": stream, "weights": "published", "name": name and f"{name}-{stream}"}
        )
        for stream in settings.streams
    ]
