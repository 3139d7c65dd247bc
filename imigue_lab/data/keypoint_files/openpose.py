"""OpenPose output: a folder of JSON files, one a frame, and validation of keypoint values.

Letters in shapes: M persons, T frames, V joints; the last axis is x, y in pixels and a score.

Source: OpenPose's output format (Cao et al., TPAMI 2019): body, face, left hand and right hand of a
person as flat lists of x, y, score.
"""

import json
import re
from bisect import bisect_left
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64

from imigue_lab.data.skeletons.geometry import distance, extent
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.errors import DataError, bounded, unreadable

FRAME_FILE = re.compile(r"(\d+)_keypoints\.json$")
BODY = "pose_keypoints_2d"
PARTS = {  # points of each list, in the order of `openpose137`
    BODY: 25,
    "face_keypoints_2d": 70,
    "hand_left_keypoints_2d": 21,
    "hand_right_keypoints_2d": 21,
}
MOST_PEOPLE, MOST_BYTES = 1000, 20_000_000  # of a frame
Person = Float32[np.ndarray, "V 3"]
Track = dict[int, Person]  # one person by frame, in order
LARGEST = 1e5  # pixels; no picture is larger
HIGHEST = 1.5  # OpenPose's scores slightly exceed 1 now and then
MOST = 20  # persons of a frame who are followed, those of the highest scores
LOST = 50  # frames after which a person who comes back is another one
PEAK = 20.0  # scores of SimCC estimators reach 10, see `clips.in_pixels`


def read_openpose_json(folder: Path) -> Float32[np.ndarray, "1 T V 3"]:
    """A folder of ``<any>_<frame>_keypoints.json``: `openpose137`, or of OpenPose's COCO model and
    its version 1.1 `openpose18`.

    OpenPose does not follow persons from frame to frame: here each is followed by position, and the
    one with the highest sum of scores is returned. Undetected joints, and frames without the
    person, are (0, 0, 0).

    Raises DataError for no such files, a missing or duplicate frame, or a file of another form.
    """
    people = [read_people(path) for path in frame_files(folder)]
    joints = {len(person) for own in people for person in own}
    if len(joints) > 1:
        what, got = "one model of OpenPose", "persons of 18 and of 25 body points"
        raise DataError.expected(folder, what, got, "run OpenPose again")
    return tracked(people, min(joints, default=137))


def tracked(people: list[list[Person]], joints: int) -> Float32[np.ndarray, "1 T V 3"]:
    """The person of the highest sum of scores, followed from frame to frame."""
    skeleton = np.zeros((1, len(people), joints, 3), dtype=np.float32)
    surest = [sorted(own, key=lambda person: -float(person[:, 2].sum())) for own in people]
    for track in in_turn(follow([own[:MOST] for own in surest])):
        for frame, person in track.items():
            skeleton[0, frame] = person
    return skeleton


def last_of(track: Track) -> int:
    return next(reversed(track))


def follow(people: list[list[Person]]) -> list[Track]:
    """The persons of all frames joined into tracks: each goes on with the nearest person of the
    next frame that is less than its own size away, for up to `LOST` frames without one."""
    ended, tracks = list[Track](), list[Track]()
    for frame, seen in enumerate(people):
        ended += [track for track in tracks if frame - last_of(track) > LOST]
        tracks = [track for track in tracks if frame - last_of(track) <= LOST]
        pairs = [
            (apart, number, place)
            for place, person in enumerate(track[last_of(track)] for track in tracks)
            for number, other in enumerate(seen)
            if (apart := distance(other, person)) < extent(person)
        ]
        free, going = set(range(len(seen))), set(range(len(tracks)))
        for _, number, place in sorted(pairs):
            if number in free and place in going:
                tracks[place][frame] = seen[number]
                free.discard(number)
                going.discard(place)
        tracks += [{frame: seen[number]} for number in sorted(free) if seen[number].any()]
    return ended + tracks


def in_turn(tracks: list[Track]) -> list[Track]:
    """Of all tracks that can follow one another, those with the highest sum of scores."""
    ordered = sorted(tracks, key=last_of)
    ends, best = [last_of(track) for track in ordered], [(0.0, -1, 0)]  # score, track, before it
    for number, track in enumerate(ordered):
        earlier = bisect_left(ends, next(iter(track)), hi=number)
        score = best[earlier][0] + sum(float(person[:, 2].sum()) for person in track.values())
        best.append((score, number, earlier) if score > best[-1][0] else best[-1])
    chosen, (_, number, earlier) = list[Track](), best[-1]
    while number >= 0:
        chosen.append(ordered[number])
        _, number, earlier = best[earlier]
    return chosen


def frame_files(folder: Path) -> list[Path]:
    """The files of a folder by frame number; the numbers must be contiguous."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of OpenPose's JSON files; name it")
    numbered: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if not (match := FRAME_FILE.search(path.name)):
            continue
        number = int(match[1])
        if number in numbered:
            raise DataError(
                f"{folder}: frame {number} is duplicated, {numbered[number].name} and"
                f" {path.name}; keep one recording in a folder"
            )
        numbered[number] = path
    if not numbered:
        raise DataError(f"{folder}: contains no *_keypoints.json; name the folder of one recording")
    last = max(numbered)
    expected = range(min(*numbered, 1), last)  # from 0, or from 1 as picture files are numbered
    missing = next((number for number in expected if number not in numbered), None)
    if missing is not None:
        raise DataError(
            f"{folder}: frame {missing} of {last} is missing; run OpenPose again, or write"
            ' {"people": []} as its file if it shows nobody'
        )
    return [numbered[number] for number in sorted(numbered)]


def read_people(path: Path) -> list[Person]:
    """All persons of one frame."""
    try:
        content = json.loads(bounded(path, MOST_BYTES).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, "is not JSON", error, "run OpenPose again") from None
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise DataError(f'{path}: has no list "people"; run OpenPose again')
    if len(people) > MOST_PEOPLE:
        what = f"up to {MOST_PEOPLE} persons in a frame"
        raise DataError.expected(path, what, len(people), "run OpenPose again")
    found = []
    for person in people:
        body = next((key for key in (BODY, "pose_keypoints") if key in person), BODY)
        numbers = person.get(body)
        if isinstance(numbers, list) and len(numbers) == 54:
            points, layout = read_part(path, person, body, 18), LAYOUTS["openpose18"]
        else:
            points = np.concatenate([read_part(path, person, *part) for part in PARTS.items()])
            layout = LAYOUTS["openpose137"]
        found.append(checked(points[None], layout, f"{path}")[0])
    return found


def read_part(path: Path, person: dict, part: str, points: int) -> Float64[np.ndarray, "P 3"]:
    """One flat list as points; hands and face that OpenPose was not run for are missing."""
    numbers = person.get(part, None if part == BODY else [])
    if numbers == [] and part != BODY:
        return np.zeros((points, 3))
    if not isinstance(numbers, list) or len(numbers) != 3 * points:
        found = f"{len(numbers)} numbers" if isinstance(numbers, list) else "no list"
        raise DataError(
            f"{path}: {part}: expected {3 * points} numbers, got {found}; run OpenPose with its"
            " BODY_25 or COCO model, and with face and hands or without them"
        )
    if wrong := [number for number in numbers if type(number) not in (int, float)]:
        what = "a number"
        raise DataError.expected(f"{path}: {part}", what, f"{wrong[0]!r:.40}", "run OpenPose again")
    try:
        return np.array(numbers, dtype=np.float64).reshape(points, 3)
    except OverflowError:
        raise DataError(f"{path}: {part} contains an infinite number; run OpenPose again") from None


def checked(
    values: Float[np.ndarray, "T V 3"], layout: Layout, where: str, highest: float = HIGHEST
) -> Float32[np.ndarray, "T V 3"]:
    """Validated keypoints; a joint with score 0, or at (0, 0), becomes all 0.

    Raises DataError for a value that is not finite, or not a valid position or score, which is at
    most `highest`.
    """
    valid = np.abs(values) <= LARGEST  # False for NaN
    valid[..., 2] = (values[..., 2] >= 0) & (values[..., 2] <= highest)
    if not valid.all():
        frame, joint, channel = (int(n) for n in np.argwhere(~valid)[0])
        frames = f"frame {frame}, " if len(values) > 1 else ""
        allowed = "a score of 0 to 1" if channel == 2 else "a position in pixels"
        advice = "write 0, 0, 0 where a joint is missing"
        if channel == 2 and highest == PEAK:
            advice += ", or declare a layout without scores or in space in keypoints.json"
        raise DataError(
            f"{where}: {frames}{('x', 'y', 'score')[channel]} of {layout.joints[joint]}: expected"
            f" {allowed}, got {values[frame, joint, channel]:g}; {advice}"
        )
    missing = (values[..., 2] == 0) | (values[..., :2] == 0).all(axis=-1)
    return np.where(missing[..., None], 0, values).astype(np.float32)
