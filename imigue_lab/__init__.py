"""imigue_lab: a workbench for multimodal learning on iMiGUE, micro-gestures and emotion.

    import imigue_lab as lab
    run = lab.load_run("demo")  # or a run folder's name, such as "emotion-late-0735c584"
    run.scores(), run.predictions(), run.model

The rooms, in the order in which data flow: data, models, features, training, results, studies,
inference, views, app. Importing the package loads none of them, nor torch.
"""

import os
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imigue_lab.data.source import open_data
    from imigue_lab.models.checkpoints.registry import load_published
    from imigue_lab.models.emotion import build_emotion
    from imigue_lab.models.gesture import build_gesture
    from imigue_lab.results.open import load_run

# OpenMP threads that spin while they wait for each other slow extraction and training by a factor
# of three when other programs use the cores. torch reads this once, when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = version("imigue_lab")
__all__ = ["build_emotion", "build_gesture", "load_published", "load_run", "open_data"]

PLACES = {
    "open_data": "data.source",
    "build_emotion": "models.emotion",
    "build_gesture": "models.gesture",
    "load_published": "models.checkpoints.registry",
    "load_run": "results.open",
}


def __getattr__(name: str) -> Any:
    """Imports a public function when it is first used."""
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PLACES])
