"""Named keypoint layouts: the order of the joints, the bones that join them, the mirrored pairs.

A layout is a tuple of joint names; bones and mirror pairs are index pairs into it. Joint order is
that of the detector or depth camera that writes it. Nobody counts columns: `imigue22` is a subset
of `light_hand35`, and `subset("imigue22", "light_hand35")` gives the indices of its joints. Where a
layout has no neck or middle of the hips, these are midpoints (`DERIVED`).

Left and right are the person's own: the right hand appears on the left of the picture. OpenPose's
70 face points are the 68 of iBUG, numbered from the right ear along the jaw, and both pupils.
Own layouts: `declared.py`.

Sources: COCO-WholeBody (Jin et al., ECCV 2020) and Halpe (Fang et al., TPAMI 2022) for theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from imigue_lab.errors import DataError, some

BODY25 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip"
    " right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear"
    " left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
).split()
FINGERS = "thumb index middle ring pinky".split()
RIGHT_TIPS = [f"right_{finger}_tip" for finger in FINGERS]
LEFT_TIPS = [f"left_{finger}_tip" for finger in FINGERS]


def hand(side: str) -> list[str]:
    """21 joints: the hand detector's wrist, then four joints of each finger from the palm out."""
    phalanges = [f"{side}_{finger}_{part}" for finger in FINGERS for part in (1, 2, 3, "tip")]
    return [f"{side}_hand_wrist", *phalanges]


FACE70 = [
    *(f"right_jaw_{number}" for number in range(8)),
    "chin",
    *(f"left_jaw_{number}" for number in reversed(range(8))),
    *(f"right_brow_{number}" for number in range(5)),
    *(f"left_brow_{number}" for number in reversed(range(5))),
    *(f"nose_bridge_{number}" for number in range(4)),
    *"right_nostril_0 right_nostril_1 nose_base left_nostril_1 left_nostril_0".split(),
    *"right_eye_outer right_eye_upper_outer right_eye_upper_inner".split(),
    *"right_eye_inner right_eye_lower_inner right_eye_lower_outer".split(),
    *"left_eye_inner left_eye_upper_inner left_eye_upper_outer".split(),
    *"left_eye_outer left_eye_lower_outer left_eye_lower_inner".split(),
    *"right_lip_corner right_lip_top_0 right_lip_top_1 lip_top".split(),
    *"left_lip_top_1 left_lip_top_0 left_lip_corner left_lip_bottom_0 left_lip_bottom_1".split(),
    *"lip_bottom right_lip_bottom_1 right_lip_bottom_0".split(),
    *"right_mouth_corner right_mouth_top mouth_top left_mouth_top left_mouth_corner".split(),
    *"left_mouth_bottom mouth_bottom right_mouth_bottom".split(),
    *"right_pupil left_pupil".split(),
]
HANDS = [*hand("left"), *hand("right")]
PARTS = {  # words in the names of joints
    "hand": ("hand", *FINGERS, "tip"),
    "head": "nose eye ear jaw chin brow nostril lip mouth head pupil".split(),
    "arm": "shoulder elbow wrist".split(),
    "leg": "hip knee ankle heel toe foot".split(),
}
OPENPOSE137 = [*BODY25, *FACE70, *HANDS]

UPPER12 = [*BODY25[:8], *BODY25[15:19]]  # imigue22 without fingers

# The 36 of MM-Gesture: upper body, 12 of the face, wrist and tips of each hand.
MMGESTURE_FACE = (
    "right_jaw_2 right_jaw_4 chin left_jaw_4 left_jaw_2 right_brow_2 left_brow_2 nose_bridge_0"
    " right_lip_corner lip_top left_lip_corner lip_bottom"
).split()
HANDS12 = ["left_hand_wrist", *LEFT_TIPS, "right_hand_wrist", *RIGHT_TIPS]

OPENPOSE18 = [
    *BODY25[:8],
    *"right_hip right_knee right_ankle left_hip left_knee left_ankle".split(),
    *"right_eye left_eye right_ear left_ear".split(),
]
COCO17 = [
    "nose",
    *(
        f"{side}_{part}"
        for part in "eye ear shoulder elbow wrist hip knee ankle".split()
        for side in ("left", "right")
    ),
]

FEET6 = [
    f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")
]
COCO_WHOLEBODY133 = [*COCO17, *FEET6, *FACE70[:68], *HANDS]
HALPE26 = [
    *COCO17,
    *"head neck mid_hip left_big_toe right_big_toe left_small_toe right_small_toe".split(),
    *"left_heel right_heel".split(),
]
HALPE136 = [*HALPE26, *FACE70[:68], *HANDS]

# MediaPipe Holistic's body without what its hands and face locate better, and both hands.
MEDIAPIPE65 = [
    *COCO17,
    *"left_lip_corner right_lip_corner left_heel right_heel left_big_toe right_big_toe".split(),
    *HANDS,
]
# MediaPipe Holistic: its 33 points of the body, the 468 of the face mesh, some of which have names,
# and both hands; in this order, or as tables in order of their kinds have them, face first.
MEDIAPIPE33 = (
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer"
    " left_ear right_ear left_lip_corner right_lip_corner left_shoulder right_shoulder"
    " left_elbow right_elbow left_wrist right_wrist left_pinky right_pinky left_index"
    " right_index left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle"
    " right_ankle left_heel right_heel left_big_toe right_big_toe"
).split()
MESH = {93: "right_jaw_2", 172: "right_jaw_4", 152: "chin", 397: "left_jaw_4", 323: "left_jaw_2"}
MESH |= {105: "right_brow_2", 334: "left_brow_2", 168: "nose_bridge_0", 0: "lip_top"}
MESH468 = [(MESH | {17: "lip_bottom"}).get(number, f"mesh_{number}") for number in range(468)]
MEDIAPIPE = {
    "mediapipe75": [*MEDIAPIPE33, *HANDS],
    "mediapipe543": [*MEDIAPIPE33, *MESH468, *HANDS],
    "mediapipe543_face_first": [*MESH468, *hand("left"), *MEDIAPIPE33, *hand("right")],
}

NTU25 = (
    "spine_base spine_mid neck head left_shoulder left_elbow left_wrist left_hand right_shoulder"
    " right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot right_hip"
    " right_knee right_ankle right_foot spine_shoulder left_hand_tip left_thumb right_hand_tip"
    " right_thumb"
).split()
# Kinect's first generation; UTKinect keeps the order of its SDK, MSR-Action3D has its own. In the
# latter's files the right hand moves more: subjects were instructed to use it.
KINECT20 = (
    "hip_center spine shoulder_center head left_shoulder left_elbow left_wrist left_hand"
    " right_shoulder right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot"
    " right_hip right_knee right_ankle right_foot"
).split()
MSRACTION20 = (
    "left_shoulder right_shoulder shoulder_center spine left_hip right_hip hip_center left_elbow"
    " right_elbow left_wrist right_wrist left_hand right_hand left_knee right_knee left_ankle"
    " right_ankle left_foot right_foot head"
).split()


Pairs = tuple[tuple[int, int], ...]  # of indices of joints
Source = int | tuple[int, int]  # a column, or two whose midpoint a joint is
Unit = Literal["pixels", "fractions", "signed fractions", "percent", "metres"]

# A joint that a layout lacks and two others define
DERIVED = {"neck": ("right_shoulder", "left_shoulder"), "mid_hip": ("right_hip", "left_hip")}


@dataclass(frozen=True)
class Layout:
    """A keypoint layout."""

    name: str
    joints: tuple[str, ...]  # names in the order of the columns
    bones: Pairs  # (parent, child); every joint but the root is a child once
    mirror: Pairs  # (right, left), swapped when the picture is flipped
    axes: int = 2  # 2 for joints in the picture, x, y and a score; 3 in space, x, y, z
    unit: Unit = "pixels"  # of files; fractions 0 to 1, signed -1 to 1; in metres y points up
    scores: bool = True  # of files in the picture: whether a third channel is a score

    @property
    def root(self) -> int:
        """The joint that is not the child of any bone."""
        children = {child for _, child in self.bones}
        return next(index for index in range(len(self.joints)) if index not in children)

    @property
    def mirrored(self) -> list[int]:
        """For each joint, the index of its source when left and right are swapped."""
        swapped = dict(self.mirror) | {left: right for right, left in self.mirror}
        return [swapped.get(joint, joint) for joint in range(len(self.joints))]


def chain(*joints: str) -> str:
    """Bones from the first joint to the last: ``chain("a", "b", "c")`` is ``" a-b b-c"``."""
    return "".join(f" {parent}-{child}" for parent, child in pairwise(joints))


def both_sides(bones: str) -> str:
    """Bones of the right side, followed by the same bones of the left side."""
    return f" {bones} {bones.replace('right_', 'left_')}"


def hand_bones(side: str) -> str:
    root, *rest = hand(side)
    return "".join(chain(root, *rest[start : start + 4]) for start in range(0, len(rest), 4))


HEAD_BONES = both_sides("nose-right_eye right_eye-right_ear")
ARM_BONES = both_sides("neck-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist")
UPPER_BONES = " neck-nose" + ARM_BONES + HEAD_BONES
LEG_BONES = " neck-mid_hip" + both_sides(
    "mid_hip-right_hip right_hip-right_knee right_knee-right_ankle right_ankle-right_big_toe"
    " right_big_toe-right_small_toe right_ankle-right_heel"
)
BODY_BONES = UPPER_BONES + LEG_BONES
FINGER_BONES = both_sides(" ".join(f"right_wrist-{tip}" for tip in RIGHT_TIPS))
# Down the nose to the lips and the chin, from there along the jaw; brows and eyes from the bridge.
FACE_BONES = chain(
    *"nose nose_bridge_3 nose_base lip_top mouth_top mouth_bottom lip_bottom chin".split()
) + both_sides(
    chain("nose_base", "right_nostril_1", "right_nostril_0")
    + chain("nose_bridge_0", *(f"right_brow_{number}" for number in (4, 3, 2, 1, 0)))
    + chain("chin", *(f"right_jaw_{number}" for number in reversed(range(8))))
    + chain("lip_top", "right_lip_top_1", "right_lip_top_0", "right_lip_corner")
    + chain("lip_bottom", "right_lip_bottom_1", "right_lip_bottom_0")
    + chain("mouth_top", "right_mouth_top", "right_mouth_corner")
    + " mouth_bottom-right_mouth_bottom nose_bridge_0-right_eye_inner"
    + chain("right_eye_inner", "right_eye_upper_inner", "right_eye_upper_outer", "right_eye_outer")
    + chain("right_eye_inner", "right_eye_lower_inner", "right_eye_lower_outer")
    + " right_eye_inner-right_pupil"
)
FACE_BONES += chain(*(f"nose_bridge_{number}" for number in (3, 2, 1, 0)))
FACE68_BONES = " " + " ".join(bone for bone in FACE_BONES.split() if "pupil" not in bone)
PALM_BONES = both_sides("right_wrist-right_hand_wrist")
HAND_BONES = hand_bones("right") + hand_bones("left")
MMGESTURE_BONES = (
    chain("nose", "lip_top", "lip_bottom", "chin")
    + " nose-nose_bridge_0"
    + both_sides(
        "nose_bridge_0-right_brow_2 lip_top-right_lip_corner chin-right_jaw_4"
        " right_jaw_4-right_jaw_2"
    )
    + PALM_BONES
    + both_sides(" ".join(f"right_hand_wrist-{tip}" for tip in RIGHT_TIPS))
)
THIGH_BONES = both_sides("right_shoulder-right_hip right_hip-right_knee right_knee-right_ankle")
COCO_BONES = (
    both_sides(
        "nose-right_eye right_eye-right_ear nose-right_shoulder right_shoulder-right_elbow"
        " right_elbow-right_wrist"
    )
    + THIGH_BONES
)
FEET_BONES = both_sides(
    "right_ankle-right_big_toe right_big_toe-right_small_toe right_ankle-right_heel"
)
FACE_AND_HANDS = FACE68_BONES + PALM_BONES + HAND_BONES
HALPE_BONES = BODY_BONES + " neck-head"
MEDIAPIPE_BONES = PALM_BONES + both_sides(
    "nose-right_lip_corner right_ankle-right_heel right_ankle-right_big_toe"
)
HOLISTIC_BONES = (
    COCO_BONES
    + MEDIAPIPE_BONES
    + HAND_BONES
    + both_sides("right_eye-right_eye_inner right_eye-right_eye_outer")
    + both_sides("right_wrist-right_thumb right_wrist-right_index right_wrist-right_pinky")
)
MESH_BONES = " " + " ".join(f"nose-{point}" for point in MESH468)
NTU_BONES = (
    chain("spine_shoulder", "neck", "head")
    + chain("spine_shoulder", "spine_mid", "spine_base")
    + both_sides(
        chain("spine_shoulder", "right_shoulder", "right_elbow", "right_wrist", "right_hand")
        + chain("right_hand", "right_thumb", "right_hand_tip")
        + chain("spine_base", "right_hip", "right_knee", "right_ankle", "right_foot")
    )
)
KINECT_BONES = " shoulder_center-head shoulder_center-spine spine-hip_center" + both_sides(
    chain("shoulder_center", "right_shoulder", "right_elbow", "right_wrist", "right_hand")
    + chain("hip_center", "right_hip", "right_knee", "right_ankle", "right_foot")
)


def build_layout(name: str, joints: list[str], bones: str, unit: Unit = "pixels") -> Layout:
    """Reads bones such as ``"neck-nose neck-right_shoulder"``; pairs `right_x` with `left_x`.

    Joints in metres are in space.
    """
    place = {joint: index for index, joint in enumerate(joints)}
    ends = (bone.split("-") for bone in bones.split())
    pairs = tuple((place[parent], place[child]) for parent, child in ends)
    sides = (
        (index, place.get(joint.replace("right_", "left_", 1))) for joint, index in place.items()
    )
    mirror = tuple((right, left) for right, left in sides if left not in (None, right))
    in_space = unit == "metres"
    return Layout(name, tuple(joints), pairs, mirror, 2 + in_space, unit, not in_space)


LAYOUTS = {
    layout.name: layout
    for layout in (
        build_layout("body25", BODY25, BODY_BONES),
        build_layout("light_hand35", BODY25 + RIGHT_TIPS + LEFT_TIPS, BODY_BONES + FINGER_BONES),
        build_layout("imigue22", UPPER12 + RIGHT_TIPS + LEFT_TIPS, UPPER_BONES + FINGER_BONES),
        build_layout(
            "mmgesture36", UPPER12 + MMGESTURE_FACE + HANDS12, UPPER_BONES + MMGESTURE_BONES
        ),
        build_layout("openpose137", OPENPOSE137, BODY_BONES + FACE_BONES + PALM_BONES + HAND_BONES),
        build_layout("openpose18", OPENPOSE18, UPPER_BONES + THIGH_BONES),
        build_layout("coco17", COCO17, COCO_BONES),
        build_layout(
            "coco_wholebody133", COCO_WHOLEBODY133, COCO_BONES + FEET_BONES + FACE_AND_HANDS
        ),
        build_layout("halpe26", HALPE26, HALPE_BONES),
        build_layout("halpe136", HALPE136, HALPE_BONES + FACE_AND_HANDS),
        build_layout("mediapipe65", MEDIAPIPE65, COCO_BONES + MEDIAPIPE_BONES + HAND_BONES),
        *(
            build_layout(name, joints, HOLISTIC_BONES + MESH_BONES * (len(joints) > 75))
            for name, joints in MEDIAPIPE.items()
        ),
        build_layout("right_hand21", hand("right"), hand_bones("right")),
        build_layout("left_hand21", hand("left"), hand_bones("left")),
        build_layout("ntu25", NTU25, NTU_BONES, "metres"),
        build_layout("kinect20", KINECT20, KINECT_BONES, "metres"),
        build_layout("msraction20", MSRACTION20, KINECT_BONES, "metres"),
    )
}


def sources(joints: Sequence[str], of: Layout) -> list[Source | None]:
    """Where each joint is in a layout: its column, the two that it is between, or None."""
    column: dict[str, int] = {joint: index for index, joint in enumerate(of.joints)}
    found: list[Source | None] = []
    for joint in joints:
        ends = [column[end] for end in DERIVED.get(joint, ()) if end in column]
        pair = (ends[0], ends[1]) if len(ends) == 2 else None
        found.append(column.get(joint, pair))
    return found


def contains(whole: Layout, part: Layout) -> bool:
    """Whether `subset` finds every joint."""
    return whole.axes == part.axes and None not in sources(part.joints, whole)


def subset(wanted: str | Layout, of: str | Layout) -> list[Source]:
    """Where the joints of one layout are in another, in its order; for `geometry.pick`.

    Raises DataError if the other lacks some of them, or has other axes.
    """
    part, whole = (LAYOUTS[name] if isinstance(name, str) else name for name in (wanted, of))
    found = sources(part.joints, whole)
    absent = [joint for joint, place in zip(part.joints, found, strict=True) if place is None]
    if absent or part.axes != whole.axes:
        lacks = f"lacks {some(absent)}" if absent else f"has {whole.axes} axes, not {part.axes}"
        raise DataError(
            f"{part.name} is not a subset of {whole.name}, which {lacks}; read a layout that"
            " contains them"
        )
    return [place for place in found if place is not None]


def body_parts(layout: Layout) -> list[int]:
    """The part of each joint, by its name: head, trunk, or an arm, a hand or a leg of one side."""
    names = []
    for joint in layout.joints:
        part = next((p for p, words in PARTS.items() if any(w in joint for w in words)), "trunk")
        side = joint.split("_")[0] if part in ("hand", "arm", "leg") else ""
        names.append((part, side))
    return [names.index(name) for name in names]
