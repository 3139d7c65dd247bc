"""What a network of Table 1 learns from: skeletons, pictures or both, by what its row reads."""

from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from imigue_lab.data.skeletons.augment import Augment
from imigue_lab.data.skeletons.heatmaps import limbs
from imigue_lab.data.skeletons.streams import Stream
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import GestureSplit, split_gestures
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.data.workspace import short_hash
from imigue_lab.models.baselines import ROWS
from imigue_lab.training.baselines.clips import Clips, Draws, SkeletonClips, whole_clips
from imigue_lab.training.baselines.heatmaps import SIDES as MAP_SIDES
from imigue_lab.training.baselines.heatmaps import HeatmapClips, Stroke
from imigue_lab.training.baselines.pictures import (
    BESIDE,
    IMAGENET,
    KINETICS,
    SIDES,
    ClipPictures,
    DenseSparseClips,
    PictureClips,
    open_pictures,
)
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.gesture_clips import GestureClips, GestureData, load_gesture_data


@dataclass(frozen=True)
class BaselineData:
    """Every clip that a network of some settings learns from or is scored on.

    Attributes:
        split: clips with their part.
        gestures: skeletons; None of networks that read pictures alone.
        pictures: frames; None of networks that read skeletons alone.
    """

    split: GestureSplit
    gestures: GestureData | None = None
    pictures: ClipPictures | None = None

    def identity(self) -> dict[str, Any]:
        """Which data these are, by content: the same wherever the folder lies."""
        if self.gestures is None or self.pictures is None:
            own = self.gestures or self.pictures
            assert own is not None
            return own.identity()
        both = self.gestures.identity(), self.pictures.identity()
        return both[0] | {"digest": short_hash(*(part["digest"] for part in both))}

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        notes = [note for own in (self.gestures, self.pictures) if own for note in own.notes]
        return notes + self.split.remarks

    def summary(self) -> pd.DataFrame:
        """Clips, videos and classes of each part."""
        parts = self.split.clips.groupby("split", sort=False)
        return pd.DataFrame(
            {
                "clips": parts.size(),
                "videos": parts.video_id.nunique(),
                "classes": parts.label.nunique(),
            }
        )

    def clips(self, part: str, settings: BaselineSettings, training: bool = False) -> Clips:
        """One part's clips as the network sees them; changed at random in training."""
        draws = None
        if settings.sampling == "uniform":
            draws = Draws(settings.frames, 0 if training else settings.test_clips, settings.seed)
        augment = settings.augment if training else "none"
        modality = ROWS[settings.model].modality
        if modality == "skeleton":
            return self.skeletons(part, settings, settings.stream, draws, augment)
        if modality == "heatmaps":
            return self.heatmaps(part, settings, draws, augment, training)
        if modality == "RGB":
            return self.frames(part, settings, augment)
        return DenseSparseClips(
            self.frames(part, settings, augment),
            self.skeletons(part, settings, "joint", None, "none"),
            self.skeletons(part, settings, "bone", None, "none"),
        )

    def skeletons(
        self,
        part: str,
        settings: BaselineSettings,
        stream: Stream,
        draws: Draws | None,
        augment: Augment,
    ) -> SkeletonClips:
        assert self.gestures is not None
        seed, layout = settings.seed, self.gestures.layout
        if draws is None:
            return SkeletonClips(
                self.gestures.clips(part, settings.frames, [stream], augment, seed)
            )
        whole = whole_clips(self.gestures, part)
        return SkeletonClips(GestureClips(whole, layout, [stream], augment, seed), draws)

    def heatmaps(
        self,
        part: str,
        settings: BaselineSettings,
        draws: Draws | None,
        augment: Augment,
        training: bool,
    ) -> HeatmapClips:
        assert self.gestures is not None
        return HeatmapClips(
            whole_clips(self.gestures, part, 0 if draws else settings.frames),
            draws,
            self.gestures.layout,
            cast(Stroke, settings.stream),
            augment,
            MAP_SIDES[settings.size],
            training,
            settings.seed,
        )

    def frames(self, part: str, settings: BaselineSettings, augment: Augment) -> PictureClips:
        assert self.pictures is not None
        return PictureClips(
            self.pictures,
            part,
            SIDES[settings.size],
            stacked=settings.model in ("tsm", "dscnet"),
            colours=KINETICS if settings.model == "mvitv2-s" else IMAGENET,
            augment=augment,
            seed=settings.seed,
        )

    def arguments(self, settings: BaselineSettings) -> dict[str, Any]:
        """What `build_baseline` has to know of the clips."""
        known: dict[str, Any] = {"classes": len(CLASSES)}
        modality, model = ROWS[settings.model].modality, settings.model
        if modality == "skeleton":
            assert self.gestures is not None
            return known | {
                "keypoints": self.gestures.layout.name,
                "persons": self.gestures.persons,
            }
        if modality == "heatmaps":
            assert self.gestures is not None
            layout = self.gestures.layout
            limbed = settings.stream == "bone"
            return known | {"joints": len(limbs(layout) if limbed else layout.joints)}
        if model == "mvitv2-s":
            return known | {"clip": [settings.frames, *[SIDES[settings.size]] * 2]}
        if model == "dscnet":
            known["frames"] = 2 * BESIDE + 1
        return known if model.startswith("video-swin") else known | {"segments": settings.frames}


def load_baseline_data(settings: BaselineSettings) -> BaselineData:
    """Reads what the network needs: keypoints, or the frames of clips, made where absent.

    Raises:
        DataError: one sentence on what is wrong with them.
    """
    modality = ROWS[settings.model].modality
    gestures = pictures = None
    if modality != "RGB":
        gestures = load_gesture_data(settings.data, settings.fold, settings.seed, settings.store)
    if "RGB" in modality:
        index = open_data(settings.data, store=settings.store)
        split = split_gestures(index, settings.fold, settings.seed)
        beside = BESIDE if settings.model == "dscnet" else 0
        crop = SIDES[settings.size]
        pictures = open_pictures(index, split.clips, settings.frames, beside, crop)
        return BaselineData(split, gestures, pictures)
    assert gestures is not None
    return BaselineData(gestures.split, gestures)
