"""The parameters of the notebooks that look inside a gesture run: 05_prototypes, 06_attention."""

from typing import Literal

from pydantic import Field

from imigue_lab.training.settings import Settings


class PrototypesSettings(Settings):
    """Parameters of 05_prototypes."""

    run: str = Field("demo", description="finished run of 01, by name; demo: as 01 is committed")
    method: Literal["umap", "pca"] = Field("umap", description="umap, or pca for two plain axes")
    neighbours: int = Field(15, ge=2, description="of UMAP: few show detail, many the whole")
    min_dist: float = Field(0.1, ge=0, le=1, description="of UMAP: how tightly points may lie")
    metric: Literal["cosine", "euclidean"] = Field("cosine", description="cosine or euclidean")
    split: Literal["train", "validation", "test"] = Field(
        "test", description="whose features are shown: train, validation or test"
    )


class AttentionSettings(Settings):
    """Parameters of 06_attention."""

    run: str = Field("demo", description="finished run of 01, by name; demo: as 01 is committed")
    clip: str = Field("", description="clip; empty: held out, told right with most confidence")
    context_weights: str = Field(
        "", description="MViTv2-S for rollout: kinetics400, or a file; empty: untrained"
    )
