"""A baseline on SMG, MA-52 and BoLD: their skeletons as they are, their classes, and pictures."""

import pytest

from imigue_lab.data.synthetic.story import DATA_SETS, SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.scores import probabilities


@pytest.mark.parametrize("layout", DATA_SETS)
def test_a_skeleton_network_trains_on_the_classes_of_the_data_set(tmp_path, layout):
    index = make_data(tmp_path / layout, SyntheticSpec(videos=6, pictures=False, layout=layout))
    given = {"data": str(index.root), "epochs": 1, "frames": 8, "name": f"other-{layout}"}
    run = train_baseline(BaselineSettings.from_arguments(given))
    predictions = run.predictions()
    assert set(predictions.clip_id) == set(index.clips.clip_id)
    assert probabilities(predictions).shape[1] == len(index.vocabulary)
    assert run.read_checkpoint("best")["classes"] == list(index.vocabulary.classes)
    layouts = {"smg": "ntu25", "ma52": "coco17", "bold": "openpose18"}
    assert run.read_checkpoint("best")["keypoints"] == layouts[layout]
