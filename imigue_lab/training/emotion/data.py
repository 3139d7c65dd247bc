"""The input of the emotion model: split, features, and remarks on both."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import pandas as pd

from imigue_lab.data.datasets import EmotionFeatures, load_features, present_windows
from imigue_lab.data.index import Index
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import EmotionSplit, split_emotion
from imigue_lab.data.store import Encoding, open_features
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import SettingsError, some
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
        names = {"context": self.context.name, "face": self.face.name}
        names["outcomes"] = ", ".join(self.split.outcomes)
        return {"digest": short_hash(self.features.digest, videos), **names}

    def summary(self) -> pd.DataFrame:
        """Interviews, subjects, windows and interviews of each outcome, by split."""
        videos = self.split.videos.assign(
            windows=[len(self.features.context[video]) for video in self.split.videos.video_id]
        )
        splits = videos.groupby("split", sort=False)
        columns = {
            "interviews": splits.size(),
            "subjects": splits.subject.nunique(),
            "windows": splits.windows.sum(),
        }
        for place, name in enumerate(self.split.outcomes):
            columns[name] = (videos.outcome == place).groupby(videos.split, sort=False).sum()
        return pd.DataFrame(columns)

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        notes = [
            f"{stream} features ({encoding.name}) are {encoding.note}"
            for stream, encoding in (("context", self.context), ("face", self.face))
            if encoding.note
        ]
        videos = self.split.videos.video_id
        if blank := [v for v in videos if not present_windows(self.features.face[v]).any()]:
            count = f"{len(blank)} of {len(videos)} interviews"
            notes.append(f"no face in {count}: only context is used: {some(blank)}")
        return notes + self.split.remarks


def load_emotion_data(settings: EmotionSettings, index: Index | None = None) -> EmotionData:
    """Reads index, split and features.

    `index` replaces the index of `settings.data`; only its files are read. Raises DataError if the
    data are incomplete or inconsistent; SettingsError if `positive` is not one of two outcomes.
    """
    index = index or open_data(settings.data, settings.labels, settings.store, settings.subjects)
    index = with_positive(index, settings.positive)
    split = split_emotion(index, settings.fold, settings.move_negatives, settings.seed)
    context = open_features(settings.context, settings.store, index)
    face = open_features(settings.face, settings.store, index)
    features = load_features(context, face, split.videos.video_id.tolist())
    return EmotionData(split, features, context.encoding, face.encoding)


def with_positive(index: Index, positive: str) -> Index:
    """The index with this outcome as the last of two; unchanged if it is empty."""
    names = index.vocabulary.outcomes
    if not positive:
        return index
    if positive not in names:
        close = get_close_matches(positive, names, 1)
        advice = f"did you mean {close[0]}?" if close else "name one of them, or leave it empty"
        raise SettingsError(f"positive: expected {some(names)}, got {positive!r}; {advice}")
    if len(names) != 2:
        raise SettingsError(
            f"positive: expected two outcomes, got {len(names)} ({some(names)}); leave it empty"
        )
    if positive == names[1]:
        return index
    videos = index.videos.assign(outcome=1 - index.videos.outcome)
    return replace(index, videos=videos, vocabulary=replace(index.vocabulary, outcomes=names[::-1]))
