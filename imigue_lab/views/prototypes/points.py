"""The memory of a gesture run and its clips as vectors of one space, by id.

Entries of the memory bank, learned prototypes, and the unrefined features f of a split's clips
(paper section 2.5). Letters in shapes: N points, D width.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.errors import RunError
from imigue_lab.models.memory import Memory, Prototypes
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.gestures.tokens import in_order
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.scores import probabilities

ENTRY, PROTOTYPE, CLIP = "bank entry", "learned prototype", "clip"
NULLABLE = {"label": "Int64", "confidence": float, "age": float, "predicted": "Int64"}
NULLABLE["correctness"] = object
COLUMNS = ["id", "kind", "clip_id", *NULLABLE]


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
    table = pd.DataFrame({"id": ids, "kind": PROTOTYPE, "clip_id": "", "label": label})
    return vectors, table


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
