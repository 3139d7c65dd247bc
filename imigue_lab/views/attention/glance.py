"""Attention at one time of a clip, laid over the picture: cells, joints, pairs, merged tokens.

All places are pixels of the whole picture; the encoder sees the crop alone (`data/crop.py`).
Letters in shapes: h w, rows and columns of the encoder's map; J joints that are seen at this time.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from imigue_lab.data.crop import picture_places
from imigue_lab.views.attention.attention import ALL, ClipAttention

UNKNOWN = (4, 3)  # width and height of a picture of which nothing is known


class Line(NamedTuple):
    """A pair: from what was attended to, to what attended."""

    ends: Float[np.ndarray, "2 2"]
    weight: float
    to_rgb: bool


class Outline(NamedTuple):
    """What of one merged token is seen at this time; `number` tells them apart over all times."""

    number: int
    cells: Int[np.ndarray, "n 2"]  # row and column
    joints: Float[np.ndarray, "n 2"]


class Glance(NamedTuple):
    """What is seen of a layer at one time.

    Attributes:
        heat: attention on each cell, in times an equal share.
        columns, rows: borders of the cells.
        joints, weight, names: where each joint is, and the attention on it.
    """

    heat: Float[np.ndarray, "h w"]
    columns: Float[np.ndarray, " columns"]
    rows: Float[np.ndarray, " rows"]
    joints: Float[np.ndarray, "J 2"]
    weight: Float[np.ndarray, " J"]
    names: list[str]
    lines: list[Line]
    outlines: list[Outline]

    @property
    def middles(self) -> tuple[Float[np.ndarray, " w"], Float[np.ndarray, " h"]]:
        """Of the columns and of the rows."""
        return middles(self.columns), middles(self.rows)


def glance_at(
    attention: ClipAttention,
    size: tuple[int, int],
    time: int,
    choice: str = ALL,
    most: int = 4,
) -> Glance:
    """
    Args:
        size: width and height of the picture.
        time: of the encoder's map.
        choice: one of `attention.choices`.
        most: pairs of each direction.
    """
    _, height, width = attention.grid
    columns, rows = borders(width, height, size)
    places, joints = attention.tokens_at(time)
    where = picture_places(attention.places.reshape(-1, 2), *size)
    joints = joints[~np.isnan(where[joints, 0])]
    step = attention.step_at(time)
    weight = attention.on_joints(choice)[:, step].ravel()
    middle = np.stack(np.meshgrid(middles(columns), middles(rows)), axis=-1).reshape(-1, 2)
    ends = dict(zip(places.tolist(), middle, strict=True))
    known = set(joints.tolist())
    lines = [
        Line(np.stack(pair_ends), pair.weight, pair.to_rgb)
        for pair in attention.pairs(choice, time, most)
        if pair.joint in known
        for pair_ends in [(where[pair.joint], ends[pair.place])[:: 1 if pair.to_rgb else -1]]
    ]
    person, _, joint = np.unravel_index(joints, attention.seen.shape)
    return Glance(
        attention.on_places(choice)[time],
        columns,
        rows,
        where[joints],
        weight[person * len(attention.joints) + joint],
        [attention.joints[n] for n in joint],
        lines,
        outlines_at(attention, places, joints, where),
    )


def borders(
    width: int, height: int, size: tuple[int, int]
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " rows"]]:
    """Where the columns and the rows of the encoder's map begin and end."""
    shares = [np.linspace(0, 1, n + 1) for n in (width, height)]
    x, y = (np.stack([share, share], axis=-1) for share in shares)
    return picture_places(x, *size)[:, 0], picture_places(y, *size)[:, 1]


def middles(edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " between"]:
    return (edges[1:] + edges[:-1]) / 2


def outlines_at(
    attention: ClipAttention,
    places: Int[np.ndarray, " hw"],
    joints: Int[np.ndarray, " J"],
    where: Float[np.ndarray, "P 2"],
) -> list[Outline]:
    """The merged tokens that hold something of these places and joints."""
    first = attention.rgb_from_pose.shape[1]  # tokens from here on are joints
    found = []
    for number, group in enumerate(attention.merged()):
        inside = np.flatnonzero(np.isin(places, group))
        cells = np.stack(np.divmod(inside, attention.grid[2]), axis=-1)
        own = joints[np.isin(joints + first, group)]
        if len(cells) + len(own):
            found.append(Outline(number, cells, where[own]))
    return found
