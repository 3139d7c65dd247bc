"""A run's points projected to a plane by UMAP or PCA, stored in the run, with quality measures.

Letters in shapes: N points.
"""

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.errors import RunError
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import Settings, setting
from imigue_lab.views.prototypes.points import Points


class PrototypesSettings(Settings):
    """Parameters of 05_prototypes."""

    run: str = setting("demo", "finished run of 01, by name; demo: as 01 is committed")
    method: Literal["umap", "pca"] = setting("umap", "umap, or pca for two linear axes")
    neighbours: int = setting(15, "of UMAP: few show detail, many the overall structure", ge=2)
    min_dist: float = setting(0.1, "of UMAP: minimum distance of points", ge=0, le=1)
    metric: Literal["cosine", "euclidean"] = setting("cosine", "cosine or euclidean")
    split: Literal["train", "validation", "test"] = setting(
        "test", "clips shown: train, validation or test"
    )


FEW = 20  # points, below which PCA replaces UMAP
SAMPLE = 2000  # points used for the measures, which compare all pairs


@dataclass(frozen=True)
class PlaneProjection:
    """Points on a plane.

    Trustworthiness is 0 to 1: whether neighbours on the plane are neighbours in the space.
    """

    points: Points  # in the original space
    places: pd.DataFrame  # id, x and y
    method: str  # name and parameters
    trust: float
    silhouette: tuple[float, float]  # of the classes in the space and on the plane, -1 to 1
    measured: int  # points that both are computed from

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


def project(run: Run, points: Points, settings: PrototypesSettings) -> PlaneProjection:
    """Projects three or more points to a plane, or reads their places where the run has them."""
    count = len(points.vectors)
    if count < 3:
        raise RunError(
            f"{run.folder.name}: expected at least 3 points, got {count}; train the run longer"
        )
    method = settings.method if count >= FEW else "pca"
    parameters: dict[str, object] = {"metric": settings.metric}
    if method == "umap":
        parameters |= {"neighbours": settings.neighbours, "min_dist": settings.min_dist}
        parameters |= {"seed": settings.seed, "umap-learn": version("umap-learn")}
    ids = points.table.id.tolist()
    key = short_hash(method, "shuffled", sorted(parameters.items()), ids, points.vectors.tobytes())
    file = run.folder / "views" / f"{method}-{key}.parquet"
    if file.exists():
        with run.reading(str(file.relative_to(run.folder))):
            places = pd.read_parquet(file)[["id", "x", "y"]]
    else:
        xy = by_umap(points, settings) if method == "umap" else by_pca(points, settings)
        places = pd.DataFrame({"id": ids, "x": xy[:, 0], "y": xy[:, 1]})
        write_atomically(file, places.to_parquet(index=False))
    used = ", ".join([method.upper(), *(f"{name} {value}" for name, value in parameters.items())])
    return PlaneProjection(points, places, used, *measure(points, places, settings))


def by_umap(points: Points, settings: PrototypesSettings) -> Float[np.ndarray, "N 2"]:
    """Deterministic for a seed on one machine; other machines may give another picture."""
    with warnings.catch_warnings():
        # About missing parallel libraries and few points; both are harmless.
        warnings.simplefilter("ignore")
        from umap import UMAP

        # Neighbours of equal distance are taken in the order of rows, which is that of the files.
        order = np.random.default_rng(settings.seed).permutation(len(points.vectors))
        xy = np.empty((len(order), 2))
        xy[order] = UMAP(
            n_neighbors=min(settings.neighbours, len(points.vectors) - 1),
            min_dist=settings.min_dist,
            metric=settings.metric,
            random_state=settings.seed,
            n_jobs=1,  # required for a fixed seed
        ).fit_transform(points.vectors[order])
    return xy


def by_pca(points: Points, settings: PrototypesSettings) -> Float[np.ndarray, "N 2"]:
    """The two axes of largest variance, of unit vectors where the metric is cosine."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    vectors = points.vectors.astype(float)
    return PCA(2, svd_solver="full").fit_transform(
        normalize(vectors) if settings.metric == "cosine" else vectors
    )


def measure(
    points: Points, places: pd.DataFrame, settings: PrototypesSettings
) -> tuple[float, tuple[float, float], int]:
    """Trustworthiness, silhouette in the space and on the plane, and the number of points."""
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
