"""iMiGUE's vocabulary: 32 gesture classes, their groups, ids in its CSV files, official counts."""

from typing import NamedTuple

from imigue_lab.errors import DataError

CLASSES = (
    "turtle neck",
    "bulging face, deep breath",
    "touching hat",
    "touching or scratching head",
    "touching or scratching forehead",
    "covering face",
    "rubbing eyes",
    "touching or scratching facial parts",
    "touching ears",
    "biting nails",
    "touching jaw",
    "touching or scratching neck",
    "playing with or adjusting hair",
    "buckle button, pulling shirt collar, adjusting tie",
    "touching or covering suprasternal notch",
    "scratching back",
    "folding arms",
    "dusting off clothes",
    "putting arms behind body",
    "moving torso",
    "sitting upright",
    "scratching or touching arms",
    "rubbing or holding hands",
    "crossing fingers",
    "minaret gesture",
    "playing with or manipulating objects",
    "hold back arms",
    "head up",
    "pressing lips",
    "arms akimbo",
    "shaking shoulders",
    "illustrative gesture",
)
ILLUSTRATIVE = 31  # not a micro-gesture; its CSV id is 99

GROUPS = {
    "head": (0, 1, 27, 28),
    "head-hand": tuple(range(2, 11)),
    "body-hand": tuple(range(11, 19)),
    "body": (19, 20, 30),
    "hand": (21, 22, 23, 24, 25, 26, 29),
    "illustrative": (ILLUSTRATIVE,),
}

OUTCOMES = ("lose", "win")  # emotion label 0 and 1


class Counts(NamedTuple):
    """Size of one split."""

    videos: int
    subjects: int
    clips: int


OFFICIAL = {  # track 1 of the MiGA challenge
    "train": Counts(241, 38, 12_893),
    "validation": Counts(10, 5, 777),
    "test": Counts(104, 36, 4_562),
}
OFFICIAL_TRAIN = (  # clips of each class in its train split
    *(10, 393, 38, 199, 80, 23, 57, 824, 80, 3, 284, 137, 97, 41, 26, 24, 304, 82, 1),
    *(887, 157, 360, 656, 690, 11, 280, 84, 60, 1155, 6, 2079, 3765),
)


def from_csv_id(value: int) -> int:
    """The 0-based class of a CSV id: 1 to 31 are 0 to 30, 99 is 31."""
    if value == 99:
        return ILLUSTRATIVE
    if 1 <= value <= 31:
        return value - 1
    raise DataError(f"expected a class of 1 to 31 or 99, got {value}")


def to_csv_id(label: int) -> int:
    """The CSV id of a 0-based class; the inverse of `from_csv_id`."""
    return 99 if label == ILLUSTRATIVE else label + 1


def group_of(label: int) -> str:
    """The group of a 0-based class, a key of `GROUPS`."""
    return next(name for name, members in GROUPS.items() if label in members)
