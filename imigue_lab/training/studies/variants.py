"""Which variants an ablation knows: what each sets otherwise than the full model.

`main` are those of the paper's Table 2 and, for emotion, the kinds of fusion.
"""

from typing import Any

from imigue_lab.errors import SettingsError

FULL = "full"
Change = dict[str, Any]

EMOTION: dict[str, Change] = {
    "late": {"fusion": "late"},
    "concat": {"fusion": "concat"},
    "context-only": {"fusion": "context_only"},  # the face withheld
    "face-only": {"fusion": "face_only"},
    "one-stage": {"stages": 1},
    "cross-gate": {"gate": "cross"},
    "convex-gate": {"gate": "convex"},
    "bce": {"loss": "bce"},
    "gamma-1": {"gamma": 1.0},
    "gamma-1.5": {"gamma": 1.5},
    "unweighted": {"class_weights": "none"},
}
GESTURE: dict[str, Change] = {
    "late": {"fusion": "late"},
    "no-memory": {"memory": False},
    "concat": {"fusion": "concat"},
    "cross-attention": {"fusion": "cross_attention"},  # no tokens merge
    "no-semantic": {"criteria": "spatial,contextual"},
    "no-spatial": {"criteria": "semantic,contextual"},
    "no-contextual": {"criteria": "semantic,spatial"},
    "merge-0.1": {"merge": 0.1},
    "merge-0.5": {"merge": 0.5},
    "bank-10": {"bank": 10},
    "bank-100": {"bank": 100},
    "top-k-1": {"top_k": 1},
    "top-k-10": {"top_k": 10},
    "momentum-0": {"momentum": 0.0},
    "momentum-0.99": {"momentum": 0.99},
    "no-prototypes": {"alpha": 0.0},
    "alpha-at-once": {"warmup": 0, "ramp": 1},
    "weighted-loss": {"loss_on": "weighted"},
}
VARIANTS = {"emotion": EMOTION, "gesture": GESTURE}
MAIN = {
    "emotion": ("late", "concat", "context-only", "face-only"),
    "gesture": ("late", "no-memory"),
}


def choose(task: str, names: str) -> dict[str, Change]:
    """The full model first, then `main`, `all`, or the variants named with commas.

    Raises:
        SettingsError: no such variant.
    """
    known = VARIANTS[task]
    chosen = {"main": MAIN[task], "all": tuple(known)}.get(names.strip())
    if chosen is None:
        chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in chosen:
        if name not in known and name != FULL:
            raise SettingsError(f"variants: no {name!r} of {task}; there are: {', '.join(known)}")
    return {FULL: {}, **{name: known[name] for name in chosen if name != FULL}}
