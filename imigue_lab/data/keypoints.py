"""Named keypoint layouts: which joint stands where, which bones join them, which pairs mirror.

A layout is a tuple of joint names; bones and mirror pairs are given by index into it. People count
no columns: `imigue22` is a subset of `light_hand35`, and `subset("imigue22", "light_hand35")` says
which joints to take.
"""

from dataclasses import dataclass

BODY25 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip"
    " right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear"
    " left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
).split()
FINGERS = "thumb index middle ring pinky".split()
RIGHT_TIPS = [f"right_{finger}_tip" for finger in FINGERS]
LEFT_TIPS = [f"left_{finger}_tip" for finger in FINGERS]


@dataclass(frozen=True)
class Layout:
    """A keypoint layout.

    Attributes:
        joints: names in the order of the columns.
        bones: (parent, child) indices; every joint but the root is a child once.
        mirror: (right, left) index pairs that change places when the picture is flipped.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    mirror: tuple[tuple[int, int], ...]


def mirror_pairs(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Pairs `right_x` with `left_x`."""
    place = {joint: index for index, joint in enumerate(joints)}
    return tuple(
        (index, place[joint.replace("right_", "left_")])
        for joint, index in place.items()
        if joint.startswith("right_")
    )


def named_bones(joints: tuple[str, ...], bones: str) -> tuple[tuple[int, int], ...]:
    """Reads ``"neck-nose neck-right_shoulder"`` as index pairs."""
    place = {joint: index for index, joint in enumerate(joints)}
    pairs = (bone.split("-") for bone in bones.split())
    return tuple((place[parent], place[child]) for parent, child in pairs)


UPPER_BONES = (
    "neck-nose neck-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist"
    " neck-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist"
    " nose-right_eye right_eye-right_ear nose-left_eye left_eye-left_ear"
)
LEG_BONES = (
    " neck-mid_hip mid_hip-right_hip right_hip-right_knee right_knee-right_ankle"
    " mid_hip-left_hip left_hip-left_knee left_knee-left_ankle"
    " left_ankle-left_big_toe left_big_toe-left_small_toe left_ankle-left_heel"
    " right_ankle-right_big_toe right_big_toe-right_small_toe right_ankle-right_heel"
)
FINGER_BONES = "".join(
    f" {side}_wrist-{tip}"
    for side, tips in (("right", RIGHT_TIPS), ("left", LEFT_TIPS))
    for tip in tips
)


def build_layout(name: str, joints: list[str], bones: str) -> Layout:
    names = tuple(joints)
    return Layout(name, names, named_bones(names, bones), mirror_pairs(names))


LAYOUTS = {
    layout.name: layout
    for layout in (
        build_layout("body25", BODY25, UPPER_BONES + LEG_BONES),
        build_layout(
            "light_hand35", BODY25 + RIGHT_TIPS + LEFT_TIPS, UPPER_BONES + LEG_BONES + FINGER_BONES
        ),
        build_layout(
            "imigue22",
            [*BODY25[:8], *BODY25[15:19], *RIGHT_TIPS, *LEFT_TIPS],
            UPPER_BONES + FINGER_BONES,
        ),
    )
}


def subset(name: str, of: str) -> list[int]:
    """Indices into layout `of` of the joints of layout `name`, in its order."""
    place = {joint: index for index, joint in enumerate(LAYOUTS[of].joints)}
    return [place[joint] for joint in LAYOUTS[name].joints]
