"""Keypoints of a user's video: from a file, by MediaPipe's networks, or by rtmlib, an extra.

    pip install 'imigue_lab[poses]'

Letters in shapes: N persons, T frames, V joints of the requested layout.

Source: COCO-WholeBody (Jin et al., ECCV 2020): 17 body points, 6 of the feet, 68 of the face, 21 of
each hand, the left before the right.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from imigue_lab.data.keypoint_files.clips import Size, in_pixels
from imigue_lab.data.keypoint_files.openpose import tracked
from imigue_lab.data.keypoint_files.tables import Recording, read_recording
from imigue_lab.data.skeletons.geometry import Skeleton, pick
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, declared_layout, sources, subset
from imigue_lab.data.videos.video import Frame, Video, probe, rates_of
from imigue_lab.data.workspace import progress
from imigue_lab.errors import ONNX, DataError, SettingsError, bounded, some, unreadable

MOST_MISSING = 0.5  # share of a layout's joints that a recording may lack
LEAST_SCORE = 0.3  # rtmlib's drawings omit joints below it
Positions = Float[np.ndarray, "N 133 2"]
Scores = Float[np.ndarray, "N 133"]
Estimator = Callable[[Frame], tuple[Positions, Scores]]  # rtmlib's, of a BGR picture


def find_poses(
    video: Path, source: str, layout: Layout
) -> tuple[Float32[np.ndarray, "T V 3"] | None, list[str]]:
    """One person's keypoints in every frame, None without a source; and remarks for the user.

    Args:
        source: empty; ``mediapipe``; ``rtmlib`` or ``rtmlib:DETECTOR.onnx,POSE.onnx``; or a file or
            folder for `read_recording`.
        layout: that the gesture run was trained on.

    Raises DataError for a file that cannot be used, has another number of frames than the video,
    or lacks too many joints; SettingsError for an estimator unknown or not installed.
    """
    if not source:
        return None, []
    if source == "mediapipe":
        recording = estimate_interviewee(video)
        frames = recording.skeleton.shape[1]
        seen = np.count_nonzero((recording.skeleton[0, ..., 2] > 0).any(axis=1))
        remark = "keypoints: estimated by MediaPipe's networks, which found the interviewee in"
        remark += f" {seen} of {frames} frames"
    elif source.partition(":")[0] == "rtmlib":
        estimator, name = open_estimator(source)
        recording = estimate(video, estimator)
        remark = f"keypoints: estimated by {name}"
    else:
        path, info = Path(source).expanduser(), probe(video)
        recording = read_user_recording(path, (info.width, info.height), layout)
        remark, got = f"keypoints: {path.name}", recording.skeleton.shape[1]
        with Video(video) as pictures:
            frames = len(pictures)
        if got != frames:
            what, found = f"{frames} frames as in {video.name}", f"{got}{rates_of(got, frames)}"
            raise DataError.expected(path, what, found, "name the keypoints of this video")
    skeleton, remarks = fit_layout(recording, layout)
    return skeleton[0], [remark, *remarks]


def read_user_recording(
    path: Path, size: Size | None = None, wanted: Layout | None = None
) -> Recording:
    """As `read_recording`, in pixels.

    A ``keypoints.json`` declares the layout beside the file or in the folder above. `size` is that
    of the picture, `wanted` the layout that is needed, see `layout_of_file`.
    """
    if not path.exists():
        raise DataError(f"{path}: no such keypoints; name a file, a folder, or an estimator")
    declared = declared_layout(path.parent) or declared_layout(path.parent.parent)
    return in_pixels(read_recording(path, declared, wanted), size)


def fit_layout(recording: Recording, layout: Layout) -> tuple[Skeleton, list[str]]:
    """The first person's joints in another layout, matched by name, and remarks on missing joints.

    A missing neck or middle of the hips is a midpoint; any other joint that the recording lacks is
    missing in all frames. Raises DataError if these are more than half, or for other axes.
    """
    found = sources(layout.joints, recording.layout)
    points, axes = recording.skeleton[:1], layout.axes
    absent = [joint for joint, at in zip(layout.joints, found, strict=True) if at is None]
    if len(absent) > MOST_MISSING * len(found) or recording.layout.axes != axes:
        raise DataError(
            f"keypoints in {recording.layout.name} contain {len(found) - len(absent)} of the"
            f" {len(found)} joints of {layout.name}; use a layout with more joints, or a run"
            f" trained on {recording.layout.name}"
        )
    fitted = np.zeros((*points.shape[:2], len(found), points.shape[-1]), np.float32)
    known = {place: at for place, at in enumerate(found) if at is not None}
    fitted[:, :, [*known]] = pick(points, [*known.values()], axes)
    what = f"{recording.layout.name} has no {some(absent)}: missing in all frames"
    return fitted, [*recording.remarks, *[what] * bool(absent)]


def estimate_interviewee(video: Path) -> Recording:
    """The person whom the faces choose (`persons.py`), in `mediapipe65`."""
    from imigue_lab.features.detectors import open_detector
    from imigue_lab.features.streams import Followed, KeypointStream

    with Video(video, threads=0) as pictures:
        followed = Followed(KeypointStream(open_detector("centerface"), "keypoints"), len(pictures))
        for frame in progress(range(len(pictures)), desc="keypoints", unit="frame"):
            followed.see(frame, pictures.frame(frame))
    return Recording(followed.features()[0]["keypoints"][None], LAYOUTS["mediapipe65"])


def estimate(video: Path, estimator: Estimator) -> Recording:
    """The person of the highest scores, followed by position as in files of the estimator."""
    with Video(video, threads=0) as pictures:
        numbers = progress(range(len(pictures)), desc="keypoints", unit="frame")
        frames = (np.flip(pictures.frame(n), axis=-1).copy() for n in numbers)
        people = [list(to_imigue22(*estimator(frame))) for frame in frames]
    return Recording(tracked(people, 22), LAYOUTS["imigue22"])


def to_imigue22(positions: Positions, scores: Scores) -> Float32[np.ndarray, "N 22 3"]:
    """Joints by name, all 0 where missing; the neck is the midpoint of the shoulders."""
    scores = scores.clip(0, 1)  # SimCC's peaks exceed 1 now and then
    points = np.concatenate([positions, scores[..., None]], axis=-1, dtype=np.float32)
    found = pick(points[None], subset("imigue22", "coco_wholebody133"))[0]
    return (found * (found[..., 2:] >= LEAST_SCORE)).astype(np.float32)


def open_estimator(spec: str) -> tuple[Estimator, str]:
    """``rtmlib``, which downloads its weights on first use, or ``rtmlib:DETECTOR.onnx,POSE.onnx``;
    and its name for users.

    Raises SettingsError for another specification or if the extra is not installed, DataError for
    weights that do not exist.
    """
    name, _, files = spec.partition(":")
    paths = [Path(file.strip()).expanduser() for file in files.split(",") if file.strip()]
    if name != "rtmlib" or len(paths) not in (0, 2):
        what = "an estimator, rtmlib or rtmlib:DETECTOR.onnx,POSE.onnx"
        raise SettingsError.expected("keypoints", what, f"{spec!r}", "correct it")
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
        return Wholebody(mode="balanced"), "rtmlib (balanced)"
    detector, pose = paths
    sizes = {"det_input_size": picture_size(detector), "pose_input_size": picture_size(pose)}
    return Wholebody(det=str(detector), pose=str(pose), **sizes), f"rtmlib ({pose.name})"


def picture_size(network: Path) -> tuple[int, int]:
    """Width and height of an ONNX network's input."""
    import onnx

    try:
        first = onnx.load(bounded(network, ONNX), load_external_data=False).graph.input[0]
        *_, height, width = (size.dim_value for size in first.type.tensor_type.shape.dim)
    except Exception as error:  # any error of its parser
        raise unreadable(network, "is not an ONNX network", error, "download it again") from error
    if height < 1 or width < 1:
        raise DataError(f"{network}: has no fixed input size; export it with one")
    return width, height
