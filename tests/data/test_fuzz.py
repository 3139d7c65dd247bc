"""2,500 cases of broken files, 500 a reader; `make soak` throws 62,500."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.data.fuzzing import CASES


@pytest.mark.parametrize("name", CASES)
def test_no_file_brings_a_traceback_from_inside(name):
    strategy, attempt = CASES[name]
    thrown = []
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(
        max_examples=500, deadline=None, database=None, derandomize=True, suppress_health_check=slow
    )
    @given(strategy)
    def throw(content):
        with tempfile.TemporaryDirectory() as folder:
            attempt(content, Path(folder))
        thrown.append(content)

    throw()
    assert len(thrown) >= 500
