"""Four synthetic interviews with their pictures."""

import pytest


@pytest.fixture(scope="session")
def filmed(tmp_path_factory):
    from imigue_lab.data.synthetic.story import SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    return make_data(tmp_path_factory.mktemp("filmed") / "interviews", SyntheticSpec(videos=4))
