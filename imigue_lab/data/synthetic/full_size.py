"""iMiGUE's numbers of videos, subjects, clips and classes, and shares of them for smaller sets."""

import numpy as np

FULL = {"train": (245, 38, 12_893), "validation": (10, 5, 777), "test": (104, 29, 4_562)}
FULL_VIDEOS = 359  # iMiGUE's videos, subjects and clips; no subject in two splits, nothing dropped
TRAIN_CLIPS = [  # iMiGUE's, by class
    int(count)
    for count in (
        "10 393 38 199 80 23 57 824 80 3 284 137 97 41 26 24"
        " 304 82 1 887 157 360 656 690 11 280 84 60 1155 6 2079 3765"
    ).split()
]


def assign_full(videos: int) -> list[tuple[str, str]]:
    """iMiGUE's shares of videos and subjects, at least one of each a split; 3 videos or more."""
    counts = {split: max(1, round(n * videos / FULL_VIDEOS)) for split, (n, _, _) in FULL.items()}
    counts["train"] = videos - counts["validation"] - counts["test"]
    rows = []
    before = 0
    for split, count in counts.items():
        subjects = max(1, round(FULL[split][1] * count / FULL[split][0]))
        rows += [(f"s{before + n * subjects // count + 1:02d}", split) for n in range(count)]
        before += subjects
    return rows


def count_clips(splits: list[str], rng: np.random.Generator) -> list[int]:
    """Clips of each video: at least one, in all iMiGUE's share of each split."""
    clips = np.ones(len(splits), dtype=int)
    for split in dict.fromkeys(splits):
        videos, _, total = FULL[split]
        places = np.flatnonzero(np.array(splits) == split)
        more = round(total * len(places) / videos) - len(places)
        clips[places] += rng.multinomial(more, np.full(len(places), 1 / len(places)))
    return clips.tolist()
