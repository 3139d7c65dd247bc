"""The variants of an ablation: what each sets differently from the full model (paper section 5).

Of baselines, a variant is a part that their recipe may have besides.
"""

from typing import Any

from imigue_lab.errors import SettingsError

FULL = "full"
Change = dict[str, Any]

VARIANTS: dict[str, dict[str, Change]] = {
    "emotion": {
        "late": {"fusion": "late"},
        "concat": {"fusion": "concat"},
        "context-only": {"fusion": "context_only"},
        "face-only": {"fusion": "face_only"},
        "one-stage": {"stages": 1},
        "cross-gate": {"gate": "cross"},
        "convex-gate": {"gate": "convex"},
        "bce": {"loss": "bce"},
        "gamma-1": {"gamma": 1.0},
        "gamma-1.5": {"gamma": 1.5},
        "unweighted": {"class_weights": "none"},
    },
    "gesture": {
        "late": {"fusion": "late"},
        "no-memory": {"memory": False},
        "concat": {"fusion": "concat"},
        "cross-attention": {"fusion": "cross_attention"},  # no tokens merge
        "no-semantic": {"criteria": "spatial,contextual"},
        "no-spatial": {"criteria": "semantic,contextual"},
        "no-contextual": {"criteria": "semantic,spatial"},
        "not-centred": {"centred": False},
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
        "averaged-loss": {"loss_on": "averaged"},
        "loss-per-head": {"loss_on": "each"},
    },
    "baseline": {
        "rotation": {"rotation": 0.3},
        "temporal-crop": {"temporal_crop": 0.5},
        "smoothing": {"smoothing": 0.1},
        "ema": {"ema": 0.99},
        "mixup": {"mixup": 0.2},
    },
    "recognition": {
        "pyramid": {"model": "pyramid"},
        "shallow": {"depth": 3},
        "short-windows": {"window": 128},
        "no-dropout": {"dropout": 0.0},
        "ema": {"ema": 0.99},
    },
}
MAIN = {  # those of the paper's Table 2, for emotion the kinds of fusion; of others all
    "emotion": ("late", "concat", "context-only", "face-only"),
    "gesture": ("late", "no-memory"),
}


def choose(task: str, names: str) -> dict[str, Change]:
    """The full model, then `main`, `all`, or the variants in a list with commas."""
    known = VARIANTS[task]
    chosen = {"main": MAIN.get(task, tuple(known)), "all": tuple(known)}.get(names.strip())
    if chosen is None:
        chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in chosen:
        if name not in known and name != FULL:
            raise SettingsError(f"variants: {task} has no {name!r}; choose of: {', '.join(known)}")
    return {FULL: {}, **{name: known[name] for name in chosen if name != FULL}}
