"""Gestures found in whole made-up interviews: F1 at IoU 0.5, beside a constant answer.

    python -m benchmarks.online [RUN] [INTERVIEWS]

RUN is a finished run of 01 on an encoder of the catalogue; empty or demo: the run that 09 makes.
The threshold is chosen on the run's validation interviews, and kept in its folder for 09.
"""

import sys

from imigue_lab.training.analysis.demo import demo_gesture
from imigue_lab.training.analysis.interviews import compare_online, find_threshold, score_interviews
from imigue_lab.training.analysis.settings import AnalyseSettings
from imigue_lab.training.runs import find_run


def main(name: str = "demo", interviews: str = "20") -> None:
    settings = AnalyseSettings()
    run = demo_gesture(settings) if name == "demo" else find_run(name)
    threshold = find_threshold(run, settings)
    found = score_interviews(run, "test", settings, int(interviews))
    print(f"{run.folder.name}: threshold {threshold:.3f}")
    print(compare_online(found, threshold).to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
