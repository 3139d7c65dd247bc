"""Gesture detection by sliding windows in long synthetic interviews, beside a constant predictor.

    python -m benchmarks.online [RUN] [INTERVIEWS]

RUN is a finished run of 01 on an encoder of the catalogue; empty or demo: the demo run of 09, but
on 60 interviews instead of 24. The threshold is chosen on the run's validation interviews and
stored in its folder for 09. Fails if the demo's F1 is below 0.6.
"""

import sys
from dataclasses import replace

from imigue_lab.data.synthetic.tree import LONG
from imigue_lab.inference.demo import demo_gesture
from imigue_lab.inference.segments import find_threshold, score_interviews, segments_of
from imigue_lab.inference.windows import AnalyseSettings
from imigue_lab.training.recognition.scores import best_constant, constant_windows, score_segments
from imigue_lab.training.runs import find_run

LEAST = 0.6  # F1 of the demo


def main(name: str = "demo", interviews: str = "20") -> None:
    settings = AnalyseSettings()
    demo = name in ("", "demo")
    run = demo_gesture(settings, replace(LONG, videos=60)) if demo else find_run(name)
    threshold = find_threshold(run, settings)["threshold"]
    own = score_interviews(run, "test", settings, int(interviews))
    predictors = {"model": segments_of(own.windows, own.times, threshold)}
    frames = {video: len(times) - 1 for video, times in own.times.items()}
    label, length = best_constant(own.true, frames)
    constant = f"always {run.vocabulary().classes[label]}"
    predictors[constant] = constant_windows(frames, label, length)
    found = score_segments(predictors, own.true, own.videos)
    print(f"{run.folder.name}: threshold {threshold:.3f}")
    print(found.to_string(index=False))
    if demo and found.f1_50[0] < LEAST:
        sys.exit(f"F1 {found.f1_50[0]:.2f} is below {LEAST}")


if __name__ == "__main__":
    main(*sys.argv[1:])
