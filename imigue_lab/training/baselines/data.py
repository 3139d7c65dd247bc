"""The input of the networks of Table 1: skeletons, heatmaps, pictures, or skeletons and pictures.

What only networks of heatmaps or pictures need is imported when they are used.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from imigue_lab.data.corrections import open_corrected
from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.geometry import Box, person_box
from imigue_lab.data.skeletons.keypoints import to_stored
from imigue_lab.data.splits import GestureSplit, split_gestures, with_validation
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError
from imigue_lab.models.baselines import ROWS
from imigue_lab.training.baselines.clips import Clips, How, Sampled
from imigue_lab.training.baselines.pictures import (
    BESIDE,
    SIDES,
    STACKED,
    ClipPictures,
    DenseSparseClips,
    PictureClips,
)
from imigue_lab.training.baselines.settings import STREAMS, BaselineSettings
from imigue_lab.training.gesture_clips import (
    WHOLE,
    GestureData,
    Sizes,
    clip_notes,
    count_clips,
    load_gesture_data,
    picture_sizes,
)
from imigue_lab.training.leaks import held_out


@dataclass(frozen=True)
class BaselineData:
    """Every clip that a network is trained or scored on."""

    split: GestureSplit
    gestures: GestureData | None = None  # skeletons; None if the network reads pictures alone
    pictures: ClipPictures | None = None  # frames; None if the network reads skeletons alone
    sizes: Sizes = field(default_factory=dict)  # of the pictures, where known

    def identity(self) -> dict[str, Any]:
        """Identifies the data by content, independent of their location."""
        if self.pictures is None:
            assert self.gestures is not None
            return self.gestures.identity()
        if self.gestures is None:
            return {"digest": short_hash(self.pictures.digest, self.split.vocabulary.classes)}
        digest = short_hash(self.gestures.digest, self.pictures.digest)
        return self.gestures.identity() | {"digest": digest}

    @property
    def training_clips(self) -> dict[str, dict[str, str]]:
        """By kind, see `training.leaks`."""
        kinds = {"skeleton": self.gestures, "picture": self.pictures}
        return {kind: own.training_clips for kind, own in kinds.items() if own}

    @property
    def held_out(self) -> set[str]:
        """See `training.leaks`."""
        known = [own.contents for own in (self.gestures, self.pictures) if own]
        return held_out(self.split.clips, *known)

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        notes = [note for own in (self.gestures, self.pictures) if own for note in own.notes]
        return notes + self.split.remarks

    def based_on(self, share: Float[Tensor, " B"]) -> list[str]:
        """For each clip, by its share of visible joints: both, rgb, pose or nothing."""
        without, with_joints = ("nothing", "pose") if self.pictures is None else ("rgb", "both")
        seen = (share > 0).tolist() if self.gestures else [False] * len(share)
        return [with_joints if own else without for own in seen]

    def refitted(self, remark: str) -> "BaselineData":
        """With validation as a part of train."""
        gestures = self.gestures and self.gestures.refitted(remark)
        pictures = self.pictures and replace(
            self.pictures, clips=with_validation(self.pictures.clips)
        )
        return BaselineData(self.split.refitted(remark), gestures, pictures, self.sizes)

    def summary(self) -> pd.DataFrame:
        """Clips, videos and classes of each split."""
        return count_clips(self.split.clips)

    def clips(self, split: str, settings: BaselineSettings, training: bool = False) -> Clips:
        """The clips of one split as the network sees them, augmented in training."""
        assert settings.stream != "all"
        modality, stream, seed = ROWS[settings.model].modality, settings.stream, settings.seed
        sampled = None
        if settings.sampling != "resample":
            stride = settings.stride if settings.sampling == "window" else 0
            sampled = Sampled(settings.frames, 0 if training else settings.test_clips, stride)
        how = How("none", seed, sampled)
        if training:
            how = How(settings.augment, seed, sampled, settings.rotation, settings.temporal_crop)
        if self.pictures is None:
            assert self.gestures is not None
            skeletons = self.gestures.clips(split, settings.frames, [stream], how)
            if modality == "skeleton":
                return skeletons
            from imigue_lab.training.baselines import heatmaps

            return heatmaps.HeatmapClips(skeletons, heatmaps.SIDES[settings.size], training)
        how = how._replace(crops=settings.test_crops, distort=settings.distort)
        seen = settings.frames, SIDES[settings.size], settings.model
        frames = PictureClips(self.pictures, split, *seen, how)
        if self.gestures is None:
            return frames
        if modality == "RGB and heatmaps":
            from imigue_lab.training.baselines import heatmaps

            number = heatmaps.RATIO * settings.frames
            maps = how._replace(sampled=sampled and sampled._replace(frames=number))
            skeletons = self.gestures.clips(split, number, [stream], maps)
            own = heatmaps.HeatmapClips(skeletons, heatmaps.PAIRED_SIDES[settings.size], training)
            return heatmaps.RgbPoseClips(frames, own, self.sizes)
        joints, bones = (self.gestures.clips(split, settings.frames, [s]) for s in STREAMS[:2])
        return DenseSparseClips(frames, joints, bones)

    def arguments(self, settings: BaselineSettings) -> dict[str, Any]:
        """The arguments of `build_baseline` that depend on the clips."""
        known: dict[str, Any] = {"classes": len(self.split.vocabulary)}
        if settings.drop_path >= 0:
            known["drop_path"] = settings.drop_path
        modality, model, stream = ROWS[settings.model].modality, settings.model, settings.stream
        if self.gestures and model != "dscnet":
            layout = self.gestures.layout
            if modality == "skeleton":
                known |= {"keypoints": to_stored(layout), "persons": self.gestures.persons}
                return known | ({"frames": settings.frames} if model == "mamp" else {})
            from imigue_lab.data.skeletons.heatmaps import limbs

            return known | {"joints": len(limbs(layout) if stream == "bone" else layout.joints)}
        if model == "mvitv2-s" or model.startswith("videomae"):
            return known | {"clip": [settings.frames, *[SIDES[settings.size]] * 2]}
        if model == "dscnet":
            known["frames"] = 2 * BESIDE + 1
        return known | {"segments": settings.frames} if model in STACKED else known


def around_persons(pictures: ClipPictures, gestures: GestureData, sizes: Sizes) -> ClipPictures:
    """With the box of each clip's joints (`person_box`); of a clip without one the centre is seen.

    Raises DataError if the joints are not those of a picture.
    """
    if gestures.layout.axes != 2:
        what, got = "joints in a picture for the person's box", f"{gestures.layout.name} in space"
        raise DataError.expected("region", what, got, "choose centre")
    boxes = dict[str, Box]()
    for split in gestures.sources.split.unique():
        clips = gestures.skeletons(split, 0, WHOLE)
        for clip in (clips[n] for n in range(len(clips)) if clips.clip_ids[n] in sizes):
            width, height = sizes[clip.clip_id]
            scale = pictures.side / min(width, height)
            box = person_box(clip.skeleton.numpy(), (height, width))
            top, left, high, wide = (round(scale * pixels) for pixels in box)
            boxes[clip.clip_id] = top, left, high, wide
    without = set(pictures.clips.clip_id) - boxes.keys()
    notes = clip_notes((without, "have no joints or size: the centre of their pictures is seen"))
    return replace(pictures, boxes=boxes, notes=[*pictures.notes, *notes])


def load_baseline_data(
    settings: BaselineSettings, index: Index | None = None, gestures: GestureData | None = None
) -> BaselineData:
    """Reads what the network needs: keypoints, or frames of clips, which are decoded if absent.

    `index` replaces the index of `settings.data`, and `gestures` its split and keypoints. Raises
    DataError if these are incomplete or inconsistent.
    """
    modality, fold, seed = ROWS[settings.model].modality, settings.fold, settings.seed
    index = index or open_corrected(settings)
    around = modality == "RGB" and settings.region == "person"
    if not gestures and (modality != "RGB" or around):
        gestures = load_gesture_data(index, fold, seed, settings.keypoints)
    split = gestures.split if gestures else split_gestures(index, fold, seed)
    sizes, pictures = picture_sizes(index), None
    if "RGB" in modality:
        from imigue_lab.training.baselines.frames import open_pictures

        pictures = open_pictures(index, split.clips, SIDES[settings.size], settings.pictures)
        if gestures and around:
            pictures = around_persons(pictures, gestures, sizes)
    return BaselineData(split, gestures if modality != "RGB" else None, pictures, sizes)
