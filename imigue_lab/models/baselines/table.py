"""Table 1 by rows: what each network reads, who published it, with what score and recipe.

Nothing is built here, see `build`.
"""

from typing import Literal, NamedTuple

from imigue_lab.models.baselines.recipes import (
    DG_STGCN,
    DSCNET,
    POSE_ENCODER,
    POSEC3D,
    PYSKL,
    RGB_ENCODER,
    ST_GCN,
    STRONG_AUG,
    TSM,
    VIDEO_SWIN,
    VIDEO_SWIN_B,
    Recipe,
)

Name = Literal[
    "tsm",
    "video-swin-t",
    "video-swin-s",
    "video-swin-b",
    "st-gcn",
    "st-gcn++",
    "strongaug",
    "aagcn",
    "ctr-gcn",
    "dg-stgcn",
    "poseconv3d",
    "dscnet",
    "2s-agcn",
    "mvitv2-s",
]
Modality = Literal["skeleton", "heatmaps", "RGB", "RGB and skeleton"]


class Baseline(NamedTuple):
    """A row of Table 1.

    Attributes:
        modality: what the network reads; heatmaps are drawn of skeletons.
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
            f"{self.name:12} {self.modality:16} {self.parameters / 1e6:6.2f} M  {self.paper:25}"
            f" {score:17}  {self.recipe}"
        )


TABLE = (
    Baseline("tsm", "RGB", 23_573_600, "Lin et al., ICCV 2019", 58.77, TSM),
    Baseline("video-swin-t", "RGB", 27_875_078, "Liu et al., CVPR 2022", 59.97, VIDEO_SWIN),
    Baseline("video-swin-s", "RGB", 49_533_686, "Liu et al., CVPR 2022", 57.83, VIDEO_SWIN),
    Baseline("video-swin-b", "RGB", 87_671_784, "Liu et al., CVPR 2022", 61.73, VIDEO_SWIN_B),
    Baseline("st-gcn", "skeleton", 3_087_388, "Yan et al., AAAI 2018", 46.38, ST_GCN),
    Baseline("st-gcn++", "skeleton", 1_391_700, "Duan et al., ACM MM 2022", 49.56, PYSKL),
    Baseline("strongaug", "skeleton", 1_391_700, "Duan et al., ACM MM 2022", 53.13, STRONG_AUG),
    Baseline("aagcn", "skeleton", 3_764_442, "Shi et al., TIP 2020", 54.73, PYSKL),
    Baseline("ctr-gcn", "skeleton", 1_435_078, "Chen et al., ICCV 2021", 53.02, PYSKL),
    Baseline("dg-stgcn", "skeleton", 1_682_648, "Duan et al., 2022", 49.56, DG_STGCN),
    Baseline("poseconv3d", "heatmaps", 2_018_336, "Duan et al., CVPR 2022", 61.11, POSEC3D),
    Baseline("dscnet", "RGB and skeleton", 45_733_172, "Cheng et al., ESWA 2024", 62.53, DSCNET),
    Baseline("2s-agcn", "skeleton", 3_457_916, "Shi et al., CVPR 2019", None, POSE_ENCODER),
    Baseline("mvitv2-s", "RGB", 34_254_752, "Li et al., CVPR 2022", None, RGB_ENCODER),
)
ROWS = {row.name: row for row in TABLE}
