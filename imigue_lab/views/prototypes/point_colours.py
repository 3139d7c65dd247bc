"""How points are marked: by class, group, confidence, age, or whether a clip is told right."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from imigue_lab.data.classes import GROUPS
from imigue_lab.training.gesture_scores import name_of
from imigue_lab.views.style import LOSE, WIN

# Okabe and Ito's, with a violet for their yellow, which white paper swallows
DISTINCT = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#870ff0", "#222222")
MARKS = ("circle", "square", "triangle-up", "cross")  # times DISTINCT: one for each class
NOTHING = "#c4c7cc"
STEPS = 9
# Cividis, dark to light
RAMP = (
    *("#00224e", "#123570", "#3b496c", "#575d6d", "#707173"),
    *("#8a8678", "#a59c74", "#c3b369", "#e1cc55"),
)
WAYS = ("class", "group", "confidence", "age", "correctness")


class Colouring(NamedTuple):
    """A look of each point, and what each look stands for.

    Attributes:
        number: of its look; -1 where there is nothing to say, which is a grey circle.
        colours, names: of each number.
        marks: of each number, one of `MARKS`.
    """

    number: Int[np.ndarray, " N"]
    colours: list[str]
    names: list[str]
    marks: list[str]


def colour(table: pd.DataFrame, way: str) -> Colouring:
    """Colours the points of a table of `prototypes.Points`.

    Args:
        way: one of `WAYS`. A class looks the same in every run: the eight colours come with one
            mark after the other, so that no two of the 32 are alike.
    """
    marks = []
    if way == "class":
        classes = sorted(set(table.label.dropna().tolist()))
        place = {label: n for n, label in enumerate(classes)}
        number = table.label.map(place, na_action="ignore").fillna(-1)
        colours = [DISTINCT[label % len(DISTINCT)] for label in classes]
        marks = [MARKS[label // len(DISTINCT)] for label in classes]
        names = [f"{label} · {name_of(label)}" for label in classes]
    elif way == "group":
        number, names = pd.Series(table.group.cat.codes), list(GROUPS)
        colours = list(DISTINCT[: len(names)])
    elif way == "correctness":
        names, colours = ["right", "wrong"], [WIN, LOSE]
        number = table.told.map({"right": 0, "wrong": 1}).fillna(-1)
    else:
        return ramp(table[way], way)
    return Colouring(number.to_numpy(dtype=int), colours, names, marks or [MARKS[0]] * len(names))


def ramp(values: pd.Series, name: str) -> Colouring:
    """Equal steps from the smallest to the largest value."""
    known = values.dropna()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    share = (values - low) / max(high - low, 1e-9)
    number = np.floor(share * STEPS).clip(upper=STEPS - 1).fillna(-1).to_numpy(dtype=int)
    edges = np.linspace(low, high, STEPS + 1)
    unit = " steps" if name == "age" else ""
    digits = 0 if name == "age" else 2
    names = [f"{a:.{digits}f} to {b:.{digits}f}{unit}" for a, b in pairwise(edges)]
    return Colouring(number, list(RAMP), names, [MARKS[0]] * STEPS)


def hover_names(table: pd.DataFrame) -> list[str]:
    """What a point is, in a line or two."""
    return [
        f"{p.kind} {p.clip_id}".strip()
        + f"<br>{p.name} · {p.group if isinstance(p.group, str) else 'group unknown'}"
        + (f"<br>confidence {p.confidence:.2f}" if p.confidence == p.confidence else "")
        + (f", {p.age:.0f} steps old" if p.age == p.age else "")
        + (f"<br>said {name_of(int(p.said))}, {p.told}" if p.told == "wrong" else "")
        for p in table.rename_axis("row").itertuples()
    ]
