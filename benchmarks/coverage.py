"""Coverage of every interval, and false positives of every test, where subjects and videos differ.

python -m benchmarks.coverage [sets]        2,000 sets, 36 and 10 subjects, in about 15 minutes

A subject and a video each shift the logit of a correct prediction for all of their items. Each set
is scored by the functions that write score tables and comparisons, the true value is known, and two
models, or predictions and outcomes, have nothing to do with each other.
"""

import sys

import numpy as np
import pandas as pd

from imigue_lab.results.compare import paired_columns
from imigue_lab.training.scores import clusters_of, score_table

SUBJECT, VIDEO = 1.0, 0.5  # standard deviations of the logit between subjects, and their videos
PREFERENCE = 0.5  # times both: of what one model alone finds difficult
OF_SEED = 0.2  # between seeds of one model, and between a subject's scores under its seeds
EASE = 0.5  # mean logit
VIDEOS = {36: 104, 10: 29}  # by number of subjects
CLIPS, SEEDS = 10, 5  # mean of a video, and runs of each variant
KINDS = ("gesture", "emotion", "skill", "difference", "seeds")

Result = tuple[bool, bool]  # the interval contains the truth; the test finds what is not there


def share(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def new_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def videos_of(rng: np.random.Generator, subjects: int) -> pd.DataFrame:
    """Videos of subjects, of whom each has one or more."""
    count = VIDEOS[subjects]
    subject = np.append(np.arange(subjects), rng.integers(subjects, size=count - subjects))
    known = {"video_id": [f"v{n}" for n in range(count)], "subject": [f"s{n}" for n in subject]}
    return pd.DataFrame(known).assign(split="test")


def effects(rng: np.random.Generator, videos: pd.DataFrame, times: float = 1.0) -> np.ndarray:
    """Of each video: its subject's effect and its own."""
    subject, names = pd.factorize(videos.subject)
    return times * (rng.normal(0, SUBJECT, len(names))[subject] + rng.normal(0, VIDEO, len(videos)))


def true_share() -> float:
    """Of correct predictions, over all subjects and videos."""
    rng = np.random.default_rng(0)
    return float(share(rng.normal(EASE, np.hypot(SUBJECT, VIDEO), 1_000_000)).mean())


def clips_of(rng: np.random.Generator, videos: pd.DataFrame) -> pd.DataFrame:
    """Clips of each video, 1 or more; `video` is its row."""
    video = np.repeat(np.arange(len(videos)), 1 + rng.poisson(CLIPS - 1, len(videos)))
    return videos.iloc[video].reset_index(drop=True).assign(video=video)


def gesture(rng: np.random.Generator, subjects: int, truth: float, known: bool) -> Result:
    """Top-1 of two classes; subjects that are not known are replaced by their videos."""
    videos = videos_of(rng, subjects)
    logit = EASE + effects(rng, videos)
    clips = clips_of(rng, videos if known else videos.assign(subject=videos.video_id))
    correct = rng.random(len(clips)) < share(logit)[clips.video]
    label = rng.integers(2, size=len(clips))
    clips = clips.assign(label=label, p0=(label == 0) == correct, p1=(label == 1) == correct)
    low, high = score_table(clips, new_seed(rng)).top1_interval[0]
    return low <= truth <= high, False


def emotion(rng: np.random.Generator, subjects: int, truth: float, known: bool) -> Result:
    """Accuracy of predicted outcomes."""
    videos = videos_of(rng, subjects)
    correct = rng.random(len(videos)) < share(EASE + effects(rng, videos))
    outcome = rng.integers(2, size=len(videos))
    probability = np.where((outcome == 1) == correct, 0.9, 0.1)
    videos = videos.assign(outcome=outcome, probability=probability)
    low, high = score_table(videos, new_seed(rng)).accuracy_interval[0]
    return low <= truth <= high, False


def skill(rng: np.random.Generator, subjects: int, truth: float, known: bool) -> Result:
    """Predictions and outcomes both depend on the subject, but not on each other."""
    videos = videos_of(rng, subjects)
    win, probability = (share(effects(rng, videos)) for _ in range(2))
    outcome = (rng.random(len(videos)) < win).astype(int)
    videos = videos.assign(outcome=outcome, probability=probability)
    return True, bool(score_table(videos, new_seed(rng)).p[0] <= 0.05)


def difference(
    rng: np.random.Generator, subjects: int, truth: float, known: bool, seeds: int = 1
) -> Result:
    """Two models that are equally good, in one run or several."""
    videos = videos_of(rng, subjects)
    clips, shared = clips_of(rng, videos), EASE + effects(rng, videos)
    cluster, _ = clusters_of(clips)
    subject, names = pd.factorize(videos.subject)
    models: list[dict[tuple[int, int], pd.DataFrame]] = []
    for _ in range(2):
        own, of_seed = shared + effects(rng, videos, PREFERENCE), OF_SEED * (seeds > 1)
        items = {}
        for seed in range(seeds):
            both = rng.normal(0, of_seed, len(names))[subject]
            logit = own + rng.normal(0, of_seed) + both
            correct = (rng.random(len(clips)) < share(logit)[clips.video]).astype(float)
            columns = {"cluster": cluster, "correct": correct, "score": correct}
            columns["run"] = f"0/{seed}"
            items[0, seed] = pd.DataFrame(columns)
        models.append(items)
    found = paired_columns("one", models[0], "other", models[1])
    contained = found["difference_low"] <= 0 <= found["difference_high"]
    return contained, seeds == 1 and found["p"] <= 0.05


def simulate(kind: str, sets: int, subjects: int, known: bool = True) -> tuple[float, float]:
    """Shares of sets whose interval contains the truth, and whose test is significant at 5 %."""
    rng, truth = np.random.default_rng(KINDS.index(kind)), true_share()
    one_set = {"gesture": gesture, "emotion": emotion, "skill": skill}.get(kind, difference)
    given = {"seeds": SEEDS} if kind == "seeds" else {}
    results = [one_set(rng, subjects, truth, known, **given) for _ in range(sets)]
    contained, significant = np.mean(results, axis=0)
    return float(contained), float(significant)


def main(sets: int = 2000) -> None:
    texts = {
        "gesture": "top-1 of gestures",
        "emotion": "accuracy of interviews",
        "skill": "is there skill?",
        "difference": "difference of two models",
        "seeds": f"difference, over subjects and {SEEDS} seeds",
    }
    missed = []
    for subjects, videos in VIDEOS.items():
        print(f"{subjects} subjects, {videos} videos, {sets} sets", flush=True)
        for kind in KINDS:
            contained, significant = simulate(kind, sets, subjects)
            text = "" if kind == "skill" else f"interval contains the truth in {contained:.1%}"
            if kind in ("skill", "difference"):
                text += f"{', ' * bool(text)}test at 5 % is significant in {significant:.1%}"
            print(f"  {texts[kind]}: {text}", flush=True)
            if not (kind == "skill" or 0.93 <= contained <= 0.97) or significant > 0.06:
                missed.append(f"{kind}, {subjects} subjects")
        contained, _ = simulate("gesture", sets, subjects, known=False)
        print(f"  top-1, were videos the clusters: contains it in {contained:.1%}", flush=True)
    assert not missed, missed


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
