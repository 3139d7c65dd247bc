"""A person's body and hands by MediaPipe's networks, followed from frame to frame.

The pose detector gives a first region; from then on each frame's landmarks give that of the next.
Regions are turned squares; positions are complex numbers, x + iy, in pixels of the frame.

Source: the graphs `pose_landmarker`, `hand_landmarker` and `holistic_landmark` of MediaPipe
(Apache-2.0). Letters in shapes: n points, S side of a crop in pixels.
"""

from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Complex128, Float, Float32
from PIL import Image
from scipy.special import expit

from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.features.shipped import open_network
from imigue_lab.features.tracking import overlaps

LEAST = 0.5  # score of a detection, a person, a hand, or a joint
AGAIN = 30  # frames after which the person is detected anew
BODY = {  # joint -> place among the 39 points of the pose; 33 and 34 are of the next region
    "nose": 0,
    **dict(zip(("left_eye", "right_eye", "left_ear", "right_ear"), (2, 5, 7, 8), strict=True)),
    "left_lip_corner": 9,
    "right_lip_corner": 10,
    **{
        f"{side}_{part}": 11 + 2 * number + (side == "right") + 6 * (number > 2)
        for number, part in enumerate("shoulder elbow wrist hip knee ankle heel big_toe".split())
        for side in ("left", "right")
    },
}
SHOULDERS, NEXT = (11, 12), (33, 34)
WRIST_INDEX_PINKY = {"left": (15, 19, 17), "right": (16, 20, 18)}
PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]  # of a hand's 21 points
LAYOUT = LAYOUTS["mediapipe65"]
PLACES = [BODY[joint] for joint in LAYOUT.joints if joint in BODY]
Points = Complex128[np.ndarray, " _"]


class Region(NamedTuple):
    """A square about `centre`; `turn` is the direction of its x axis, of length 1."""

    centre: complex
    side: float
    turn: complex = 1

    def crop(self, picture: Image.Image, size: int) -> Float32[np.ndarray, "1 {size} {size} 3"]:
        """The square, upright, at `size` pixels, from 0 to 1; bilinear, black outside."""
        step, start = self.turn * self.side / size, self.place(np.zeros(1, complex), size)[0]
        back = (step.real, -step.imag, start.real, step.imag, step.real, start.imag)
        upright = picture.transform(
            (size, size), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR
        )
        return np.asarray(upright, np.float32)[None] / np.float32(255)

    def place(
        self, points: Complex[np.ndarray, "*rows"], size: int
    ) -> Complex128[np.ndarray, "*rows"]:
        """Points of a crop of `size` pixels in the frame."""
        return self.centre + self.turn * (points * self.side / size - self.side * (0.5 + 0.5j))


def upright(centre: complex, top: complex, scale: float, shift: float = 0) -> Region:
    """The square about `centre` in which `top` is straight above it, 1/2 `scale` to the edge.

    It is moved down by `shift` of the side before scaling.
    """
    arm = top - centre
    turn = 1j * arm / max(abs(arm), 1e-6)
    return Region(centre + 2 * shift * abs(arm) * 1j * turn, 2 * scale * abs(arm), turn)


def palm_region(points: Points) -> Region:
    """The next region of a hand: twice the turned box of its palm, moved up by a tenth."""
    knuckles = (points[5] + points[13]) / 4 + points[9] / 2
    turn = 1j * (knuckles - points[0]) / max(abs(knuckles - points[0]), 1e-6)
    inner = points[PALM] / turn
    low = complex(inner.real.min(), inner.imag.min())
    size = complex(inner.real.max(), inner.imag.max()) - low
    side = max(size.real, size.imag)
    return Region((low + size / 2 - 0.1j * size.imag) * turn, 2 * side, turn)


def anchors(side: int, strides: tuple[int, ...]) -> Points:
    """Centres of a detector's cells, from 0 to 1, row by row; two for each time a stride occurs."""
    grids = []
    for stride, same in groupby(strides):
        middle = (np.arange(side // stride) + 0.5) * stride / side
        cells = middle[None] + 1j * middle[:, None]
        grids.append(np.repeat(cells.ravel(), 2 * len(list(same))))
    return np.concatenate(grids)


class Networks:
    """The three networks, shared by all persons that are followed."""

    anchors = anchors(224, (8, 16, 32, 32, 32))

    def __init__(self) -> None:
        names = ("pose_detector", "pose_landmarks", "hand_landmarks")
        self.detector, self.pose, self.hand = map(open_network, names)
        digests = self.detector.digest, self.pose.digest, self.hand.digest
        self.recipe = f"MediaPipe {' '.join(digests)}, score {LEAST}, detected every {AGAIN} frames"

    def detect(self, picture: Image.Image, face: Float[np.ndarray, "4"]) -> Region | None:
        """The region of the person with this face (x0, y0, x1, y1); None if there is none."""
        width, height = picture.size
        whole = Region(complex(width, height) / 2, max(width, height))
        values, scores = self.detector(whole.crop(picture, 224) * 2 - 1)
        scores = expit(scores[0, :, 0].astype(np.float64))
        found, scores = scores >= LEAST, scores[scores >= LEAST]
        centres, sizes, *marks = (values[0, found, 0::2] + 1j * values[0, found, 1::2]).T / 224
        points = whole.place(np.stack([centres, *marks]) + self.anchors[found], 1).T
        corners = [points[:, 0] + sign * sizes * whole.side / 2 for sign in (-1, 1)]
        boxes = np.stack([part for c in corners for part in (c.real, c.imag)], axis=1)
        centre, side = middle(face), max(face[2] - face[0], face[3] - face[1])
        best, nearest = None, side
        while len(scores):
            same = overlaps(boxes[[scores.argmax()]], boxes)[0] >= 0.3
            same[scores.argmax()] = True
            mean = scores[same] @ points[same] / scores[same].sum()
            if abs(mean[0] - centre) < nearest:
                best, nearest = upright(mean[1], mean[2], 1.25), abs(mean[0] - centre)
            points, boxes, scores = points[~same], boxes[~same], scores[~same]
        return best


def middle(box: Float[np.ndarray, "4"]) -> complex:
    return complex(box[0] + box[2], box[1] + box[3]) / 2


class Person:
    """One person, followed through the frames of one camera view."""

    def __init__(self, networks: Networks):
        self.networks = networks
        self.region: Region | None = None
        self.hands: dict[str, Region] = {}
        self.age = 0  # frames since the last detection
        self.nose = complex(np.inf)

    def see(
        self, picture: Image.Image, face: Float[np.ndarray, "4"] | None
    ) -> Float32[np.ndarray, "65 3"] | None:
        """x, y in pixels and score of each joint of `mediapipe65` in the next frame; 0 if missing.

        None if the person is not found. `face` is the person's, if it is known in this frame.
        """
        self.age += 1
        if face is not None and (self.region is None or self.age >= AGAIN):
            self.region, self.age = self.networks.detect(picture, face) or self.region, 0
        if self.region is None:
            return None
        points, scores = self.read_pose(self.region, picture)
        if face is not None and scores.any():
            size = max(face[2] - face[0], face[3] - face[1])
            if abs(points[0] - middle(face)) > size:  # another person's body
                scores[:] = 0
        if not scores.any():
            self.region, self.hands, self.nose = None, {}, complex(np.inf)
            return None
        self.region = upright(points[NEXT[0]], points[NEXT[1]], 1.25)
        self.nose = points[0]
        hands = [self.read_hand(side, picture, points) for side in WRIST_INDEX_PINKY]
        joints = np.concatenate([points[PLACES], *(hand for hand, _ in hands)])
        score = np.concatenate([scores[PLACES], *(np.full(21, flag) for _, flag in hands)])
        inside = (joints.real >= 0) & (joints.real < picture.width)
        inside &= (joints.imag >= 0) & (joints.imag < picture.height)
        rows = np.stack([joints.real, joints.imag, score], axis=1)
        return (rows * (inside & (score >= LEAST))[:, None]).astype(np.float32)

    def read_pose(
        self, region: Region, picture: Image.Image
    ) -> tuple[Points, Float[np.ndarray, " n"]]:
        """39 points in the frame and their scores, which are all 0 if nobody is there."""
        values, flag, _, heat, _ = self.networks.pose(region.crop(picture, 256))
        rows = values.reshape(39, 5).astype(np.float64)
        points = refine(rows[:, 0] + 1j * rows[:, 1], heat[0])
        scores = expit(rows[:, 3:]).min(axis=1) * (flag.item() >= LEAST)
        return region.place(points, 256), scores

    def read_hand(self, side: str, picture: Image.Image, pose: Points) -> tuple[Points, float]:
        """21 points in the frame and their common score, 0 without a hand.

        A hand is first sought where it was, then where the pose has it.
        """
        wrist, index, pinky = (pose[place] for place in WRIST_INDEX_PINKY[side])
        shoulders = abs(pose[SHOULDERS[0]] - pose[SHOULDERS[1]])
        centre = (2 * index + pinky) / 3
        first = upright(centre, 2 * centre - wrist, 2.7, -0.1)
        known = self.hands.pop(side, None)
        visible = 0 <= centre.real < picture.width and 0 <= centre.imag < picture.height
        for region in filter(None, (known, first)) if visible else ():
            values, flag, *_ = self.networks.hand(region.crop(picture, 224))
            rows = values.reshape(21, 3).astype(np.float64)
            points = region.place(rows[:, 0] + 1j * rows[:, 1], 224)
            if flag.item() >= LEAST and abs(points[0] - wrist) <= 0.6 * shoulders:
                self.hands[side] = palm_region(points)
                return points, flag.item()
        return np.zeros(21, complex), 0.0


def refine(points: Points, heat: Float32[np.ndarray, "64 64 39"]) -> Points:
    """Points of the crop moved to the centre of mass of the 7 x 7 cells of their heat map.

    Where the greatest probability of these cells is below `LEAST`, a point stays.
    """
    refined = points.copy()
    for place, point in enumerate(points / 4):
        x, y = int(point.real), int(point.imag)
        rows, columns = slice(max(y - 3, 0), max(y + 4, 0)), slice(max(x - 3, 0), max(x + 4, 0))
        mass = expit(heat[rows, columns, place].astype(np.float64))
        if mass.size and mass.max() >= LEAST:
            weights = mass / mass.sum()
            across = weights.sum(axis=0) @ (np.arange(mass.shape[1]) + columns.start)
            down = weights.sum(axis=1) @ (np.arange(mass.shape[0]) + rows.start)
            refined[place] = 4 * complex(across, down)
    return refined
