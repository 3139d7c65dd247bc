"""Estimates of pose by rtmlib, which is an optional extra.

    pip install 'imigue_lab[poses]'

Letters in shapes: N persons, V joints of the estimator's layout.

Source: COCO-WholeBody (Jin et al., ECCV 2020): 17 body points, 6 of the feet, 68 of the face, 21 of
each hand, the left before the right.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from imigue_lab.data.skeletons.geometry import distance, extent, pick
from imigue_lab.data.skeletons.keypoints import subset
from imigue_lab.data.videos.video import Frame
from imigue_lab.errors import DataError, SettingsError

LEAST_SCORE = 0.3  # rtmlib's drawings omit joints below it
Estimate = tuple[Float[np.ndarray, "N 133 2"], Float[np.ndarray, "N 133"]]


class WholeBody:
    """rtmlib's whole-body estimator as `imigue22`.

    `infer` maps a BGR picture to positions and scores of COCO-WholeBody's 133 points; `name` is
    shown to users.
    """

    def __init__(self, infer: Callable[[Frame], Estimate], name: str = "rtmlib"):
        self.infer = infer
        self.name = name

    def __call__(self, picture: Frame) -> Float32[np.ndarray, "N 22 3"]:
        """x, y in pixels and a score of each joint of all persons; all 0 for missing joints."""
        positions, scores = self.infer(np.ascontiguousarray(picture[..., ::-1]))
        return to_imigue22(np.asarray(positions), np.asarray(scores))


def to_imigue22(
    positions: Float[np.ndarray, "N 133 2"], scores: Float[np.ndarray, "N 133"]
) -> Float32[np.ndarray, "N 22 3"]:
    """Joints by name; the neck is the midpoint of the shoulders."""
    scores = scores.clip(0, 1)  # SimCC's peaks exceed 1 now and then
    points = np.concatenate([positions, scores[..., None]], axis=-1, dtype=np.float32)
    found = pick(points[None], subset("imigue22", "coco_wholebody133"))[0]
    return (found * (found[..., 2:] >= LEAST_SCORE)).astype(np.float32)


def open_estimator(spec: str) -> WholeBody:
    """``rtmlib``, which downloads its weights on first use, or ``rtmlib:DETECTOR.onnx,POSE.onnx``.

    Raises SettingsError for another specification or if the extra is not installed, DataError for
    weights that do not exist.
    """
    name, _, files = spec.partition(":")
    paths = [Path(file.strip()).expanduser() for file in files.split(",") if file.strip()]
    if name != "rtmlib" or len(paths) not in (0, 2):
        raise SettingsError(
            "keypoints: expected an estimator, rtmlib or rtmlib:DETECTOR.onnx,POSE.onnx, got"
            f" {spec!r}; correct it"
        )
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: no such weights; name the ONNX file")
    try:
        from rtmlib import Wholebody
    except ImportError:
        raise SettingsError(
            "keypoints: rtmlib is not installed; run `pip install 'imigue_lab[poses]'`, or name a"
            " file of keypoints"
        ) from None
    if not paths:
        return WholeBody(Wholebody(mode="balanced"), "rtmlib (balanced)")
    detector, pose = paths
    sizes = {"det_input_size": picture_size(detector), "pose_input_size": picture_size(pose)}
    infer = Wholebody(det=str(detector), pose=str(pose), **sizes)
    return WholeBody(infer, f"rtmlib ({pose.name})")


def picture_size(network: Path) -> tuple[int, int]:
    """Width and height of an ONNX network's input."""
    import onnx

    try:
        shape = onnx.load(str(network), load_external_data=False).graph.input[0]
    except Exception as error:  # any error of its parser
        raise DataError(f"{network}: is not an ONNX network; download it again") from error
    *_, height, width = (size.dim_value for size in shape.type.tensor_type.shape.dim)
    if height < 1 or width < 1:
        raise DataError(f"{network}: has no fixed input size; export it with one")
    return width, height


def track_person(
    persons: Float32[np.ndarray, "N V 3"], last: Float32[np.ndarray, "V 3"] | None
) -> int | None:
    """Index of the tracked person: the nearest by shared joints, initially the largest."""
    sizes = [extent(person) for person in persons]
    if not sizes or max(sizes) == 0:
        return None
    if last is not None:
        distances = [distance(person, last) for person in persons]
        if min(distances) < extent(last):
            return int(np.argmin(distances))
    return int(np.argmax(sizes))
