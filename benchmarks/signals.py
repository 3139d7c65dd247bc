"""What the default settings find in synthetic interviews; shared by the tables of `make soak`."""

import tempfile
from pathlib import Path

from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.training.emotion.data import load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion

FUSIONS = {"both": "interfusion", "context": "context_only", "face": "face_only"}


def test_scores(seed: int, signal: str, fusions: dict[str, str], **given: object) -> dict:
    """Test scores of each fusion on one synthetic set: {name: {metric: value}}."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / f"{signal}-{seed}"
        make_data(root, SyntheticSpec(seed=seed, signal=signal, pictures=False))
        scores = {}
        for name, fusion in fusions.items():
            asked = {"data": str(root), "seed": seed, "fusion": fusion, **given}
            settings = EmotionSettings.from_arguments(asked)
            table = train_emotion(settings, load_emotion_data(settings)).scores()
            model = table[(table.split == "test") & (table.answer == "model")].iloc[0]
            scores[name] = {m: model[m] for m in ("accuracy", "balanced_accuracy", "auc")}
        return scores
