"""The settings of every notebook, and its parameters cell, printed from them."""

from collections.abc import Sequence

from imigue_lab.inference.windows import AnalyseSettings
from imigue_lab.studies.trials import AblationSettings, SearchSettings
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.prepare import PrepareSettings
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.settings import ClipSettings, Settings, TrainSettings
from imigue_lab.views.attention.maps import AttentionSettings
from imigue_lab.views.gates.interview import GatesSettings
from imigue_lab.views.prototypes.points import PrototypesSettings

SETTINGS = {
    "00_prepare": PrepareSettings,
    "01_train_gesture": GestureSettings,
    "02_train_emotion": EmotionSettings,
    "03_ablations": AblationSettings,
    "04_baselines": BaselineSettings,
    "05_prototypes": PrototypesSettings,
    "06_attention": AttentionSettings,
    "07_gates": GatesSettings,
    "08_search": SearchSettings,
    "09_analyse_video": AnalyseSettings,
    "10_pretrain": PretrainSettings,
    "11_recognise": RecognitionSettings,
}
LESS_OFTEN = "# less often:"


def parameters_cell(cls: type[Settings], first: Sequence[str] = ()) -> str:
    """The parameters cell of a notebook in the form that papermill reads: typed, with comments.

    Those that people change first are above a comment line.
    """
    rest = sorted(cls.model_fields.keys() - set(first), key=lambda name: order(cls, name))
    above = [*(line_of(cls, name) for name in first), LESS_OFTEN] if first else []
    return "\n".join([*above, *(line_of(cls, name) for name in rest)])


def line_of(cls: type[Settings], name: str) -> str:
    field = cls.model_fields[name]
    kind = type(field.default).__name__
    literal = '"' + field.default + '"' if kind == "str" else repr(field.default)
    return f"{name}: {kind} = {literal}  # {field.description}"


def order(cls: type[Settings], name: str) -> tuple[int, int]:
    """`data`, then a notebook's own parameters, those of all clips, trainers and notebooks."""
    place = list(cls.model_fields).index(name)
    if name == "data":
        return 0, place
    shared = [own for own in (ClipSettings, TrainSettings, Settings) if issubclass(cls, own)]
    return 1 + sum(name in own.model_fields for own in shared), place
