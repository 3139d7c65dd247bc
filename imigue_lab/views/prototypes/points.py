"""The memory of a gesture run and its clips as vectors of one space, by id, projected to a plane.

Entries of the memory bank, learned prototypes, and the unrefined features f of a split's clips
(paper section 2.5). The plane is by UMAP or PCA, stored in the run, with quality measures.

Letters in shapes: N points, D width.
"""

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.errors import RunError
from imigue_lab.models.memory import Memory, Prototypes
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.gestures.tokens import in_order
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import probabilities
from imigue_lab.training.settings import Settings, setting

ENTRY, PROTOTYPE, CLIP = "bank entry", "learned prototype", "clip"
NULLABLE = {"label": "Int64", "confidence": float, "age": float, "predicted": "Int64"}
NULLABLE["correctness"] = object
COLUMNS = ["id", "kind", "clip_id", *NULLABLE]
FEW = 20  # points, below which PCA replaces UMAP
SAMPLE = 2000  # points used for the measures, which compare all pairs


@dataclass(frozen=True)
class Points:
    """Vectors and what is known of each.

    The table has a row a point: id, kind (`ENTRY`, `PROTOTYPE`, `CLIP`), clip_id (the source; empty
    for a prototype), label (null where hidden), name, group (of the class), confidence (of an
    entry, or in the predicted class), age (steps since an entry changed), predicted (class of a
    clip) and correctness (of a clip: correct or incorrect); else null.
    """

    vectors: Float[np.ndarray, "N D"]
    table: pd.DataFrame
    notes: list[str]  # what is left out
    vocabulary: Vocabulary  # of the run; a label is a place in it

    def of(self, kind: str) -> pd.DataFrame:
        return self.table[self.table.kind == kind]

    def nearest(self, point: int, most: int = 6) -> pd.DataFrame:
        """The entries and clips nearest to a point by cosine, one a source clip, with `cosine`."""
        lengths = np.linalg.norm(self.vectors, axis=1)
        cosine = self.vectors @ self.vectors[point] / (lengths * lengths[point]).clip(min=1e-12)
        own = self.table.clip_id[point]  # empty for a prototype, as for all others
        others = self.table.assign(cosine=cosine)[~self.table.clip_id.isin(["", own])]
        others = others.sort_values("cosine", ascending=False, kind="stable")
        return others.drop_duplicates("clip_id").head(most)


def read_points(gesture: GestureRun, split: str = "test") -> Points:
    """Every entry and prototype of the run's best model, and the features of a split's clips.

    Raises RunError where the run has no memory.
    """
    system = load_gesture(gesture.run, gesture.data)
    memory = system.gesture.memory
    if memory is None:
        raise RunError(
            f"{gesture.run.folder.name}: was trained without memory; choose a run of memory=true"
        )
    found = [entry_points(gesture, memory), prototype_points(memory)]
    found.append(clip_points(gesture, system, split))
    vectors = np.concatenate([vectors for vectors, _ in found]).astype(np.float32)
    tables = [table.reindex(columns=COLUMNS).astype(NULLABLE) for _, table in found]
    table = pd.concat(tables, ignore_index=True)
    labels = [None if pd.isna(label) else int(label) for label in table.label]
    vocabulary = gesture.run.vocabulary()
    table["name"] = ["?" if label is None else vocabulary.label(label) for label in labels]
    groups = [None if label is None else vocabulary.groups[label] or None for label in labels]
    table["group"] = pd.Categorical(groups, vocabulary.group_names, ordered=True)
    bare = gesture.data.bare & set(gesture.data.part(split).clip_id)
    notes = [f"{len(bare)} clips without any token are left out"] if bare else []
    empty = int((~memory.bank.filled.any(dim=1)).sum())
    notes.append(f"{empty} of {len(memory.bank.filled)} classes have no entry")
    return Points(vectors, table, notes, vocabulary)


def entry_points(gesture: GestureRun, memory: Memory) -> tuple[np.ndarray, pd.DataFrame]:
    bank = memory.bank
    sources = bank.source_ids(gesture.data.part("train").clip_id)
    label, slot = (axis.numpy() for axis in bank.filled.nonzero(as_tuple=True))
    table = pd.DataFrame(
        {
            "id": [f"entry-{c}-{s}" for c, s in zip(label, slot, strict=True)],
            "kind": ENTRY,
            "clip_id": [sources[c][s] for c, s in zip(label, slot, strict=True)],
            "label": label,
            "confidence": bank.confidence[label, slot].numpy(),
            "age": bank.age[label, slot].numpy(),
        }
    )
    return bank.entries[label, slot].numpy(), table


def prototype_points(memory: Memory) -> tuple[np.ndarray, pd.DataFrame]:
    """Of the classes that have an entry: the others were hardly trained, so are anywhere."""
    label = memory.bank.filled.any(dim=1).nonzero()[:, 0].numpy()
    if isinstance(memory.prototypes, Prototypes):
        vectors = memory.prototypes.vectors.detach().numpy()[label]
    else:
        label, vectors = label[:0], np.empty((0, memory.bank.entries.shape[2]))
    ids = [f"prototype-{c}" for c in label]
    return vectors, pd.DataFrame({"id": ids, "kind": PROTOTYPE, "clip_id": "", "label": label})


@torch.no_grad()
def clip_points(
    gesture: GestureRun, system: GestureSystem, split: str
) -> tuple[np.ndarray, pd.DataFrame]:
    """f before the memory is read, and the prediction after it."""
    vectors, ids = [np.empty((0, gesture.settings.width))], []
    for batch in in_order(gesture.data, split, gesture.settings.batch_size):
        fused = system(batch).fusion.f
        kept = [n for n, clip_id in enumerate(batch.clip_ids) if clip_id not in gesture.data.bare]
        vectors.append(fused[kept].float().numpy())
        ids += [batch.clip_ids[n] for n in kept]
    known = gesture.run.predictions().set_index("clip_id").loc[ids]
    correctness = np.where(known.label == known.predicted, "correct", "incorrect").astype(object)
    correctness[known.label.isna()] = None
    table = pd.DataFrame(
        {
            "id": [f"clip-{clip_id}" for clip_id in ids],
            "kind": CLIP,
            "clip_id": ids,
            "label": known.label.array,
            "confidence": probabilities(known).max(axis=1),
            "predicted": known.predicted.array,
            "correctness": correctness,
        }
    )
    return np.concatenate(vectors), table


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
