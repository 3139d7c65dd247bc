"""Table 1 by rows: what each network reads, who published it, with what score and recipe.

Nothing is built here, see `build`.
"""

from typing import Literal, NamedTuple

from imigue_lab.models.baselines.recipes import (
    DG_STGCN,
    POSE_ENCODER,
    PYSKL,
    ST_GCN,
    STRONG_AUG,
    Recipe,
)

Name = Literal["2s-agcn", "st-gcn", "st-gcn++", "strongaug", "aagcn", "ctr-gcn", "dg-stgcn"]
Modality = Literal["skeleton"]


class Baseline(NamedTuple):
    """A row of Table 1.

    Attributes:
        modality: what the network reads.
        parameters: for 32 classes, the joints of `imigue22` and one person, one stream.
        paper: where the network was published.
        published: top-1 on iMiGUE in percent as Table 1 prints it; `None` where it has no row.
        recipe: how its authors, or pyskl for them, train it.
    """

    name: Name
    modality: Modality
    parameters: int
    paper: str
    published: float | None
    recipe: Recipe

    def __str__(self) -> str:
        score = "not in Table 1" if self.published is None else f"{self.published:.2f} % published"
        return (
            f"{self.name:12} {self.modality:9} {self.parameters / 1e6:6.2f} M  {self.paper:25}"
            f" {score:17}  {self.recipe}"
        )


TABLE = (
    Baseline("2s-agcn", "skeleton", 3_457_916, "Shi et al., CVPR 2019", None, POSE_ENCODER),
    Baseline("st-gcn", "skeleton", 3_087_388, "Yan et al., AAAI 2018", 46.38, ST_GCN),
    Baseline("st-gcn++", "skeleton", 1_391_700, "Duan et al., ACM MM 2022", 49.56, PYSKL),
    Baseline("strongaug", "skeleton", 1_391_700, "Duan et al., ACM MM 2022", 53.13, STRONG_AUG),
    Baseline("aagcn", "skeleton", 3_764_442, "Shi et al., TIP 2020", 54.73, PYSKL),
    Baseline("ctr-gcn", "skeleton", 1_435_078, "Chen et al., ICCV 2021", 53.02, PYSKL),
    Baseline("dg-stgcn", "skeleton", 1_682_648, "Duan et al., 2022", 49.56, DG_STGCN),
)
ROWS = {row.name: row for row in TABLE}
