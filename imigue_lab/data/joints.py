"""Names of the joints that keypoint detectors and depth cameras hand out, in the order they do.

Sides are the person's own: the right hand stands on the left of the picture. OpenPose's 70 face
points are the 68 of iBUG, numbered from the right ear along the jaw, and both pupils.
"""

BODY25 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip"
    " right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear"
    " left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
).split()
FINGERS = "thumb index middle ring pinky".split()
RIGHT_TIPS = [f"right_{finger}_tip" for finger in FINGERS]
LEFT_TIPS = [f"left_{finger}_tip" for finger in FINGERS]


def hand(side: str) -> list[str]:
    """21 joints: the wrist as the hand detector sees it, then four from the palm a finger."""
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
OPENPOSE137 = [*BODY25, *FACE70, *hand("left"), *hand("right")]

# The 36 of MM-Gesture: as in imigue22 without fingers, 12 of the face, wrist and tips of each hand.
MMGESTURE_BODY = [*BODY25[:8], *BODY25[15:19]]
MMGESTURE_FACE = (
    "right_jaw_2 right_jaw_4 chin left_jaw_4 left_jaw_2 right_brow_2 left_brow_2 nose_bridge_0"
    " right_lip_corner lip_top left_lip_corner lip_bottom"
).split()
MMGESTURE36 = [
    *MMGESTURE_BODY,
    *MMGESTURE_FACE,
    *("left_hand_wrist", *LEFT_TIPS),
    *("right_hand_wrist", *RIGHT_TIPS),
]

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

# MediaPipe Holistic's body without what its hands and face tell better, and both hands.
MEDIAPIPE65 = [
    *COCO17,
    *"left_lip_corner right_lip_corner left_heel right_heel left_big_toe right_big_toe".split(),
    *hand("left"),
    *hand("right"),
]

NTU25 = (
    "spine_base spine_mid neck head left_shoulder left_elbow left_wrist left_hand right_shoulder"
    " right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot right_hip"
    " right_knee right_ankle right_foot spine_shoulder left_hand_tip left_thumb right_hand_tip"
    " right_thumb"
).split()
# Kinect's first generation; UTKinect keeps the order of its SDK, MSR-Action3D has its own. The
# right hand of the latter's files is the one that moves more: subjects were told to use it.
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
