"""62,500 broken files thrown at the readers of labels, outcomes, keypoints, JSON and .pose.

python -m benchmarks.fuzz        about 12 minutes on two cores
"""

import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.data.fuzzing import CASES

EACH = 12_500


def throw_all(strategy, attempt) -> int:
    """Throws `EACH` files at one reader; returns how many it took without a traceback."""
    thrown = 0
    with tempfile.TemporaryDirectory() as folder:

        @settings(
            max_examples=EACH,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def throw(content):
            nonlocal thrown
            attempt(content, Path(folder))
            thrown += 1

        throw()
    return thrown


def main() -> None:
    for name, (strategy, attempt) in CASES.items():
        start = time.monotonic()
        thrown = throw_all(strategy, attempt)
        print(f"{name}: {thrown} files, {time.monotonic() - start:.0f} s, none brought a traceback")


if __name__ == "__main__":
    main()
