"""3,000 cases of broken files, 500 per reader; `make soak` tries 75,000."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.data.fuzzing import CASES


@pytest.mark.parametrize("name", CASES)
def test_no_file_causes_an_internal_error(name):
    strategy, attempt = CASES[name]
    tried = []
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(
        max_examples=500, deadline=None, database=None, derandomize=True, suppress_health_check=slow
    )
    @given(strategy)
    def attempt_content(content):
        with tempfile.TemporaryDirectory() as folder:
            attempt(content, Path(folder))
        tried.append(content)

    attempt_content()
    assert len(tried) >= 500
