"""A flat picture of a run's points by UMAP or PCA, kept in the run, and how far to trust it.

Letters in shapes: N points, D width.
"""

import io
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.errors import RunError
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import Settings
from imigue_lab.views.prototypes.points import Points


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


FEW = 20  # points; of fewer UMAP makes nothing
SAMPLE = 2000  # points that the measures are taken on: they compare each with each


@dataclass(frozen=True)
class Flat:
    """Points on a plane.

    Attributes:
        points: of the space they come from.
        places: id, x and y.
        method: how it was made, in words.
        trust: trustworthiness, 0 to 1: whether neighbours on the plane are neighbours in the space.
        silhouette: of the classes in the space and on the plane, -1 to 1: how far apart they lie.
        measured: points that both are taken on.
    """

    points: Points
    places: pd.DataFrame
    method: str
    trust: float
    silhouette: tuple[float, float]
    measured: int

    @property
    def table(self) -> pd.DataFrame:
        """`points.table` with x and y, joined by id."""
        return self.points.table.merge(self.places, on="id", how="left", validate="one_to_one")

    def __str__(self) -> str:
        space, plane = self.silhouette
        return (
            f"{self.method}; trustworthiness {self.trust:.2f} of 1; silhouette of the classes"
            f" {space:+.2f} in the space, {plane:+.2f} on the plane ({self.measured} points)"
        )


def flatten(run: Run, points: Points, settings: PrototypesSettings) -> Flat:
    """Lays the points on a plane; at once where the run keeps their places.

    Raises:
        RunError: fewer than three points.
    """
    count = len(points.vectors)
    if count < 3:
        raise RunError(f"{run.folder.name}: has {count} points to show; train it longer")
    method = settings.method if count >= FEW else "pca"
    how: dict[str, object] = {"metric": settings.metric}
    if method == "umap":
        how |= {"neighbours": settings.neighbours, "min_dist": settings.min_dist}
        how |= {"seed": settings.seed, "umap-learn": version("umap-learn")}
    ids = points.table.id.tolist()
    key = short_hash(method, sorted(how.items()), ids, points.vectors.tobytes())
    file = run.folder / "views" / f"{method}-{key}.parquet"
    if file.exists():
        places = pd.read_parquet(file)
    else:
        xy = by_umap(points.vectors, settings) if method == "umap" else by_pca(points, settings)
        places = pd.DataFrame({"id": ids, "x": xy[:, 0], "y": xy[:, 1]})
        keep(places, file)
    said = ", ".join(f"{name} {value}" for name, value in how.items())
    return Flat(points, places, f"{method.upper()}, {said}", *measure(points, places, settings))


def keep(places: pd.DataFrame, file: Path) -> None:
    buffer = io.BytesIO()
    places.to_parquet(buffer, index=False)
    write_atomically(file, buffer.getvalue())


def by_umap(
    vectors: Float[np.ndarray, "N D"], settings: PrototypesSettings
) -> Float[np.ndarray, "N 2"]:
    """The same for the same seed on one machine; other machines may give another picture."""
    with warnings.catch_warnings():
        # Of missing parallel libraries, and of few points: the picture is made all the same.
        warnings.simplefilter("ignore")
        from umap import UMAP

        made = UMAP(
            n_neighbors=min(settings.neighbours, len(vectors) - 1),
            min_dist=settings.min_dist,
            metric=settings.metric,
            random_state=settings.seed,
            n_jobs=1,  # what a seed asks for
        ).fit_transform(vectors)
    return np.asarray(made, dtype=float)


def by_pca(points: Points, settings: PrototypesSettings) -> Float[np.ndarray, "N 2"]:
    """The two axes of largest spread, of the directions alone where the metric is cosine."""
    vectors = points.vectors.astype(float)
    if settings.metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # An axis and its opposite fit alike; the one whose largest part is positive is taken.
    signs = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])
    return centred @ (axes[:2] * signs[:, None]).T


def measure(
    points: Points, places: pd.DataFrame, settings: PrototypesSettings
) -> tuple[float, tuple[float, float], int]:
    """Trustworthiness, silhouette in the space and on the plane, and on how many points."""
    from sklearn.manifold import trustworthiness
    from sklearn.metrics import silhouette_score

    rng = np.random.default_rng(settings.seed)
    rows = np.sort(rng.permutation(len(places))[:SAMPLE])
    vectors, xy = points.vectors[rows], places[["x", "y"]].to_numpy()[rows]
    neighbours = max(1, min(settings.neighbours, len(rows) // 2 - 1))
    trust = trustworthiness(vectors, xy, n_neighbors=neighbours, metric=settings.metric)
    label = points.table.label.iloc[rows]
    known = label.notna().to_numpy()
    classes = label[known].to_numpy(dtype=int)
    if not 2 <= len(np.unique(classes)) < len(classes):
        return float(trust), (np.nan, np.nan), len(rows)
    space = silhouette_score(vectors[known], classes, metric=settings.metric)
    plane = silhouette_score(xy[known], classes)
    return float(trust), (float(space), float(plane)), len(rows)
