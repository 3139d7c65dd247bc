"""Frozen encoders of faces, keypoints and features, by their names; `catalogue` builds them."""

from typing import Literal, NamedTuple

from imigue_lab.errors import SettingsError

Detector = Literal["centerface", "yolo-face"]  # of faces


class Entry(NamedTuple):
    """An encoder: `tiny` ones are untrained, for tests, `full` ones are the paper's, `shipped` ones
    have weights from packages; none is trained for this task.

    Batches are large enough to fill a GPU, and on a CPU small enough for its cache.
    """

    stream: Literal["context", "face", "rgb", "keypoints"]
    size: Literal["tiny", "full", "shipped"]
    batch_cpu: int
    batch_gpu: int


CATALOGUE = {
    "context-tiny": Entry("context", "tiny", 8, 128),
    "face-tiny": Entry("face", "tiny", 16, 512),
    "rgb-tiny": Entry("rgb", "tiny", 8, 128),
    "context-mvitv2s": Entry("context", "full", 1, 32),
    "face-swinface": Entry("face", "full", 8, 128),
    "rgb-mvitv2s": Entry("rgb", "full", 1, 32),
    "context-lite0": Entry("context", "shipped", 1, 16),
    "context-lite0x2": Entry("context", "shipped", 4, 64),  # two frames of a window
    "context-lite0x2-blank": Entry("context", "shipped", 4, 64),  # and no faces in them
    "face-expression": Entry("face", "shipped", 1, 1),
    "face-blendshapes": Entry("face", "shipped", 1, 1),
    "keypoints": Entry("keypoints", "shipped", 1, 1),
}


def parse_names(encoders: str) -> list[str]:
    """Encoder names from `tiny`, `full`, or names separated by commas.

    Raises SettingsError for an unknown name.
    """
    words = [word.strip() for word in encoders.split(",")]
    names = [n for word in words for n, e in CATALOGUE.items() if word in (n, e.size)]
    unknown = [word for word in words if word not in (*CATALOGUE, "tiny", "full")]
    if unknown:
        raise SettingsError(
            f"encoders: unknown {', '.join(map(repr, unknown))}; choose from tiny, full,"
            f" {', '.join(CATALOGUE)}"
        )
    return list(dict.fromkeys(names))
