"""The input of the emotion model: split, features, and remarks on both."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from imigue_lab.data.datasets import EmotionFeatures, load_features, present_windows
from imigue_lab.data.index import Index
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import EmotionSplit, split_emotion
from imigue_lab.data.store import Encoding, open_features
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import some
from imigue_lab.training.emotion.settings import EmotionSettings


@dataclass(frozen=True)
class EmotionData:
    """Every interview that a model is trained or scored on."""

    split: EmotionSplit
    features: EmotionFeatures
    context: Encoding
    face: Encoding

    def refitted(self, remark: str) -> "EmotionData":
        """With validation as a part of train."""
        return replace(self, split=self.split.refitted(remark))

    def identity(self) -> dict[str, Any]:
        """Identifies the data by content, independent of their location."""
        videos = self.split.videos.sort_values("video_id").to_csv(index=False)
        encodings = {"context": self.context.name, "face": self.face.name}
        return {"digest": short_hash(self.features.digest, videos), **encodings}

    def summary(self) -> pd.DataFrame:
        """Interviews, subjects, wins and windows of each split."""
        videos = self.split.videos.assign(
            windows=[len(self.features.context[video]) for video in self.split.videos.video_id]
        )
        splits = videos.groupby("split", sort=False)
        return pd.DataFrame(
            {
                "interviews": splits.size(),
                "subjects": splits.subject.nunique(),
                "wins": splits.outcome.sum(),
                "windows": splits.windows.sum(),
            }
        )

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        notes = [
            f"{stream} features ({encoding.name}) are {encoding.note}"
            for stream, encoding in (("context", self.context), ("face", self.face))
            if encoding.note
        ]
        return notes + self.faceless() + self.split.remarks

    def faceless(self) -> list[str]:
        """Names the interviews without a detected face, predicted from context alone."""
        videos = self.split.videos.video_id
        blank = [v for v in videos if not present_windows(self.features.face[v]).any()]
        if not blank:
            return []
        count = f"{len(blank)} of {len(videos)} interviews"
        return [f"no face in {count}: only context is used: {some(blank)}"]


def load_emotion_data(settings: EmotionSettings, index: Index | None = None) -> EmotionData:
    """Reads index, split and features.

    Args:
        index: replaces the index of `settings.data`; only its files are read.

    Raises:
        DataError: the data are incomplete or inconsistent.
    """
    index = index or open_data(settings.data, settings.labels, settings.store, settings.subjects)
    split = split_emotion(index, settings.fold, settings.move_negatives, settings.seed)
    context = open_features(settings.context, settings.store, index)
    face = open_features(settings.face, settings.store, index)
    features = load_features(context, face, split.videos.video_id.tolist())
    return EmotionData(split, features, context.encoding, face.encoding)
