"""What a score of a run is for, and what it does not say about a person.

What stands in the tables of a run's card: parts, settings, findings, cost, and the verdict.
"""

from typing import Any

import pandas as pd

from imigue_lab.data.checks.root import check_root
from imigue_lab.data.source import find_root
from imigue_lab.errors import LabError
from imigue_lab.results.open import base_of, explicit_settings, settings_of
from imigue_lab.training.provenance import MIB
from imigue_lab.training.runs import Run

INTENDED = {
    "emotion": "Research: whether pictures of a press interview tell if the player had just won or"
    " lost, and how such models come to their answer.",
    "gesture": "Research: telling micro-gestures of iMiGUE's classes apart in clips whose start and"
    " end are known, and how such models come to their answer.",
}
INTENDED["baseline"] = INTENDED["fusion"] = INTENDED["gesture"]

LIMITS = {
    "emotion": (
        "The answer is the outcome of a match, not a feeling: nobody asked the people how they"
        " felt, and some winners are sad. A probability here says nothing about the emotion,"
        " mood, honesty, health or character of a person.",
        "The people of iMiGUE are tennis players in press interviews, filmed by broadcasters; other"
        " people, cultures, occasions, cameras and illnesses that change the face are not there.",
        "Parts share no subject unless a remark above says so; of someone seen in training the"
        " model may know the person instead of the outcome.",
        "Context holds the room, the clothes and the sponsors' wall. What the model rests on is"
        " to be looked at (notebook 07), not assumed.",
    ),
    "gesture": (
        "A class names a movement, not a reason: a hand at the neck is stress in some people,"
        " habit or an itch in others. An answer here says nothing about the emotion, honesty,"
        " health or character of a person.",
        "Clips are cut by annotators: a model scored on them has not been shown to find gestures"
        " in a running video, nor to leave other movements alone.",
        "The classes are far from equally common, and a top-1 score is mostly that of the common"
        " ones; look at the mean over classes and at the table of confusions.",
        "The people of iMiGUE are tennis players in press interviews, seated, filmed from the"
        " front; others sit, gesture and are filmed in other ways.",
    ),
}
LIMITS["baseline"] = LIMITS["fusion"] = LIMITS["gesture"]

NOT_FOR = (
    "Not for decisions about a person: hiring, lending, policing, border control, schools,"
    " insurance, diagnosis, lie detection, or watching people at work. In the European Union"
    " inferring emotions of people at work or in schools is forbidden (Regulation 2024/1689,"
    " article 5), with few exceptions. Not for anyone who has not agreed to be looked at so."
)


PARTS = ("train", "validation", "test")
FIRST = {"emotion": "accuracy"}  # the metric a verdict is about; of clips it is top-1


def verdict(scores: pd.DataFrame, task: str) -> str:
    """One sentence on the last part with truth: the model against the majority-class baseline."""
    if scores.empty:
        return "No truth is known of validation or test: there is no score."
    metric, split = FIRST.get(task, "top1"), scores.split.iloc[-1]
    part = scores[scores.split == split]
    model = part[part.predictor == "model"].iloc[0]
    constants = part[part.predictor != "model"]
    constant = constants.loc[constants[metric].idxmax()]
    low, high = model[f"{metric}_interval"]
    if constant[metric] < low:
        so = "below that interval: the model has learned something"
    elif constant[metric] <= high:
        so = "inside that interval: these data do not distinguish the two"
    else:
        so = "above that interval: the model is worse than a constant predictor"
    return (
        f"On {split} (n = {model.n}) {metric.replace('top1', 'top-1 accuracy')} is"
        f" {model[metric]:.2f}, 95 % interval {low:.2f} to {high:.2f}. The majority-class baseline,"
        f" “{constant.predictor}”, has {constant[metric]:.2f}, {so}."
    )


def part_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """A row a part: how many clips or interviews, of how many people, and with a known truth."""
    item, truth = ("clip", "label") if "clip_id" in predictions else ("interview", "outcome")
    rows = []
    for split in PARTS:
        part = predictions[predictions.split == split]
        row: dict[str, Any] = {"part": split, f"{item}s": len(part)}
        row["truth known"] = int(part[truth].notna().sum())
        row["videos"] = part.video_id.nunique()
        row["subjects"] = part.subject.nunique() if "subject" in part else "–"
        if item == "interview":
            row["wins"] = int((part[truth] == 1).sum())
        else:
            row["classes"] = part[truth].nunique()
        rows.append(row)
    return pd.DataFrame(rows)


def setting_table(run: Run) -> pd.DataFrame:
    """The settings that differ from the preset, or the defaults: here, there, and what they are."""
    settings = settings_of(run)
    start = base_of(settings)
    there = f"preset {settings.preset}" if settings.preset else "default"
    fields, rows = type(settings).model_fields, []
    for name, value in explicit_settings(settings).items():
        base = fields[name].default if value == getattr(start, name) else getattr(start, name)
        row = {"setting": name, "here": value, there: base, "what it is": fields[name].description}
        rows.append({column: "(empty)" if v == "" else v for column, v in row.items()})
    return pd.DataFrame(rows)


def findings_of(run: Run) -> list[str]:
    """What the data check finds now, headers trusted; a sentence where the data are gone."""
    settings = settings_of(run)
    try:
        report = check_root(find_root(settings.data, settings.store), decode="none")
    except LabError as error:
        return [f"the data cannot be looked at any more: {error}"]
    return [str(finding) for finding in report.findings] or ["nothing was found"]


def cost_table(run: Run) -> pd.DataFrame:
    """Time, memory and device; a dash where the run did not record it."""
    provenance = run.provenance()
    machine = provenance["machine"]
    cards = f" ({', '.join(machine['cards'])})" if provenance["device"].startswith("cuda") else ""
    gpu = provenance.get("peak_device_memory_mib")
    rows = {
        "device": provenance["device"] + cards,
        "processes, threads of each": f"{machine['processes']}, {machine['threads']}",
        "time": f"{provenance['seconds']:.0f} s since the last start",
        "epochs": f"{len(run.metrics())}",
        "peak memory of the process": mebibytes(provenance.get("peak_memory_mib")),
        **({"peak memory of the GPU": mebibytes(gpu)} if gpu else {}),
        "weights": mebibytes((run.folder / "best.safetensors").stat().st_size / MIB),
    }
    return pd.DataFrame(rows.items(), columns=["what", "how much"])


def mebibytes(size: int | float | None) -> str:
    """``812 MiB``, ``0.3 MiB``; a dash for nothing."""
    return "–" if size is None else f"{size:,.0f} MiB" if size >= 10 else f"{size:.1f} MiB"


def environment_table(run: Run) -> pd.DataFrame:
    """Versions, commit and machine that made the run."""
    provenance = run.provenance()
    machine, git = provenance["machine"], provenance["git"]
    packages = ", ".join(f"{name} {version}" for name, version in provenance["packages"].items())
    memory = f"{machine['memory_gb']} GB of memory" if machine["memory_gb"] else "memory unknown"
    rows = {
        "made": provenance["time"],
        "revision": f"{git['revision'] or '–'}{', with changes' if git['dirty'] else ''}",
        "machine": f"{machine['processor']}, {machine['cores']} cores, {memory}",
        "system": f"{machine['system']}, Python {provenance['python']}",
        "packages": packages,
        "data": ", ".join(f"{name} {value}" for name, value in run.settings()["data"].items()),
    }
    return pd.DataFrame(rows.items(), columns=["what", "which"])
