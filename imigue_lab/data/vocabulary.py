"""The 32 gesture classes of iMiGUE, their groups, and the ids that its CSV files hold."""

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
ILLUSTRATIVE = 31  # not a micro-gesture; the CSV says 99

GROUPS = {
    "head": (0, 1, 27, 28),
    "head-hand": tuple(range(2, 11)),
    "body-hand": tuple(range(11, 19)),
    "body": (19, 20, 30),
    "hand": (21, 22, 23, 24, 25, 26, 29),
    "illustrative": (ILLUSTRATIVE,),
}

OUTCOMES = ("lose", "win")  # emotion label 0 and 1


def from_csv_id(value: int) -> int:
    """The 0-based class of a CSV id: 1..31 stand for 0..30, 99 for 31."""
    if value == 99:
        return ILLUSTRATIVE
    if 1 <= value <= 31:
        return value - 1
    raise DataError(f"class {value} is not one of 1 to 31 or 99")


def to_csv_id(label: int) -> int:
    """The CSV id of a 0-based class; the inverse of `from_csv_id`."""
    return 99 if label == ILLUSTRATIVE else label + 1


def group_of(label: int) -> str:
    """The body part that a 0-based class belongs to, a key of `GROUPS`."""
    return next(name for name, members in GROUPS.items() if label in members)
