"""Feeds 75,000 malformed files to the readers of labels, outcomes, keypoints, JSON and .pose.

python -m benchmarks.fuzz        about 12 minutes on two cores
"""

import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.data.fuzzing import CASES

EACH = 12_500


def feed_all(strategy, attempt) -> int:
    """Feeds `EACH` files to one reader; returns how many it handled without a traceback."""
    handled = 0
    with tempfile.TemporaryDirectory() as folder:

        @settings(
            max_examples=EACH,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def feed(content):
            nonlocal handled
            attempt(content, Path(folder))
            handled += 1

        feed()
    return handled


def main() -> None:
    for name, (strategy, attempt) in CASES.items():
        start = time.monotonic()
        handled = feed_all(strategy, attempt)
        print(f"{name}: {handled} files, {time.monotonic() - start:.0f} s, no traceback")


if __name__ == "__main__":
    main()
