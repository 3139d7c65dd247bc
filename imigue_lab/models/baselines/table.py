"""Table 1's networks of skeletons by name: what builds them, what was published of them.

Those of pictures and heatmaps are not here yet.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import nn

from imigue_lab.models.agcn import DEPTHS, build_agcn
from imigue_lab.models.baselines.aagcn import build_aagcn
from imigue_lab.models.baselines.ctrgcn import build_ctrgcn
from imigue_lab.models.baselines.dgstgcn import build_dgstgcn
from imigue_lab.models.baselines.stgcn import build_stgcn, build_stgcnpp


class Baseline(NamedTuple):
    """A row of Table 1.

    Attributes:
        modality: what the network reads.
        parameters: for 32 classes, the joints of `imigue22` and one person, one stream.
        paper: where the network was published.
        published: top-1 on iMiGUE in percent as Table 1 prints it; `None` where it has no row.
        recipe: how its authors, or pyskl for them, train it on NTU RGB+D.
    """

    name: str
    modality: str
    parameters: int
    paper: str
    published: float | None
    recipe: str


PYSKL = "SGD 0.1 for 128 clips, Nesterov 0.9, decay 5e-4, cosine, 80 epochs, 100 frames uniformly"

TABLE = (
    Baseline(
        "2s-agcn",
        "skeleton",
        3_457_916,
        "Shi et al., CVPR 2019",
        None,
        "joint and bone networks, their logits added",
    ),
    Baseline(
        "st-gcn",
        "skeleton",
        3_087_388,
        "Yan et al., AAAI 2018",
        46.38,
        "SGD 0.1, decay 1e-4, steps at 10 and 50 of 80 epochs, dropout 0.5, padded to 300 frames",
    ),
    Baseline("st-gcn++", "skeleton", 1_391_700, "Duan et al., ACM MM 2022", 49.56, PYSKL),
    Baseline(
        "strongaug",
        "skeleton",
        1_391_700,
        "Duan et al., ACM MM 2022",
        53.13,
        PYSKL.replace("80 epochs", "120 epochs") + ", scaled by up to 0.1, turned by up to 0.3 rad",
    ),
    Baseline("aagcn", "skeleton", 3_764_442, "Shi et al., TIP 2020", 54.73, PYSKL),
    Baseline("ctr-gcn", "skeleton", 1_435_078, "Chen et al., ICCV 2021", 53.02, PYSKL),
    Baseline(
        "dg-stgcn",
        "skeleton",
        1_682_648,
        "Duan et al., 2022",
        49.56,
        PYSKL.replace("80 epochs", "150 epochs") + ", turned by up to 0.2 rad",
    ),
)

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "2s-agcn": build_agcn,
    "st-gcn": build_stgcn,
    "st-gcn++": build_stgcnpp,
    "strongaug": build_stgcnpp,
    "aagcn": build_aagcn,
    "ctr-gcn": build_ctrgcn,
    "dg-stgcn": build_dgstgcn,
}
TELL_PERSONS_APART = ("2s-agcn", "aagcn", "ctr-gcn")


def build_baseline(
    name: str,
    classes: int = 32,
    keypoints: str = "imigue22",
    channels: int = 3,
    persons: int = 1,
    width: int = 64,
    depths: Sequence[int] = DEPTHS,
    mask_missing: bool = True,
) -> nn.Module:
    """A network of Table 1, untrained; called with (B, M, T, V, C) it gives (B, classes).

    Args:
        name: a row of `TABLE`; StrongAug is ST-GCN++ with another recipe.
        keypoints: name of a layout, which gives the joints and the graph.
        channels, persons: of the skeletons; those that share one norm take any number of persons.
        width, depths: of the first blocks (papers: 64); blocks of once, twice, four times as wide.
        mask_missing: missing joints enter as zeros, see `JointNorm`; False is as published.

    Raises:
        ValueError: no such name.
    """
    if name not in BUILDERS:
        raise ValueError(f"name must be one of {', '.join(BUILDERS)}; got {name!r}")
    told_apart = persons if name in TELL_PERSONS_APART else 1
    return BUILDERS[name](
        keypoints,
        classes,
        channels=channels,
        persons=told_apart,
        width=width,
        depths=depths,
        mask_missing=mask_missing,
    )
