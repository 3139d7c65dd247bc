"""Gestures in untrimmed video: both recognisers against sliding windows, paired over videos.

    python -m benchmarks.recognition [SIZE] [SETTING=VALUE ...]

Synthetic interviews of 30 to 40 s, 24 train, 8 validation, 20 test. SIZE is dense (32 classes that
overlap, 0.2 to 8 s, with distractor motion; the default) or long (8 classes with quiet time
between). SETTING is one of both recognisers; `seed` is that of the interviews, too. Sliding windows
are those of 09, by its demo run trained on the same interviews. Fails if a recogniser has an F1 at
IoU 0.5 below 0.95 on long interviews, or is not above sliding windows (p < 0.05) on dense ones.
"""

import sys

import pandas as pd

from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.inference.demo import demo_gesture
from imigue_lab.inference.segments import find_threshold, score_interviews, segments_of
from imigue_lab.inference.windows import AnalyseSettings
from imigue_lab.results.score_tables import show_p, with_intervals
from imigue_lab.training.recognition.scores import count_segments, ratios, score_segments
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import train_recognition
from imigue_lab.training.statistics import sign_flip_p

LEAST = 0.95
SETTINGS = {"frames": {"lr": 2e-3}, "pyramid": {"lr": 3e-3}}


def main(size: str = "dense", *words: str) -> None:
    settings, given = AnalyseSettings(), dict(word.split("=") for word in words)
    spec = SyntheticSpec(videos=52, size=size, seed=int(given.get("seed", 0)))
    sliding = demo_gesture(settings, spec)
    threshold = find_threshold(sliding, settings)["threshold"]
    interviews = score_interviews(sliding, "test", settings)
    videos, true = interviews.videos, interviews.true
    found = {"sliding windows": segments_of(interviews.windows, interviews.times, threshold)}
    data = sliding.provenance()["where"]["data"]
    for model, own in SETTINGS.items():
        own = {"data": data, "model": model} | own | given
        run = train_recognition(RecognitionSettings.from_arguments(own))
        table = run.predictions()
        found[model] = table[table.kept & (table.split == "test")]
    scores = score_segments(found, true, videos)

    def by_video(table: pd.DataFrame) -> pd.Series:
        counts = count_segments(table, true, videos.video_id.tolist(), 0.5, "one-to-one")
        return ratios(counts.correct, counts.found, counts.true)["f1"]

    per_video = {name: by_video(table) for name, table in found.items()}
    first = per_video["sliding windows"]
    gains = {name: (own - first).to_numpy() for name, own in per_video.items()}
    scores["gain"] = [gains[name].mean() for name in scores.predictor]
    p = [sign_flip_p(gains[name], videos.video_id) for name in scores.predictor]
    shown = scores.assign(p=[show_p(own) for own in p])
    for name in ("f1_10", "f1_30", "f1_50"):
        shown[name] = with_intervals(scores, name)
    print(shown.drop(columns=[c for c in shown if c.endswith("_interval")]).to_string(index=False))
    for row, own in zip(scores.iloc[1:].itertuples(), p[1:], strict=True):
        if size == "long" and row.f1_50 < LEAST:
            sys.exit(f"{row.predictor}: F1 {row.f1_50:.2f} is below {LEAST}")
        if size == "dense" and not (row.gain > 0 and own < 0.05):
            sys.exit(f"{row.predictor}: gains {row.gain:.2f} with p {own:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
