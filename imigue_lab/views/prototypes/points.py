"""What a gesture run remembers, beside what it makes of clips: vectors of one space, by name.

Entries of the memory bank, learned prototypes, and the unrefined features f of a part's clips
(paper section 2.5). Letters in shapes: N points, D width.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from imigue_lab.data.vocabulary import GROUPS, group_of
from imigue_lab.errors import RunError
from imigue_lab.models.memory import Memory, Prototypes
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.gestures.tokens import in_order
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.scores import name_of, probabilities

ENTRY, PROTOTYPE, CLIP = "bank entry", "learned prototype", "clip"


@dataclass(frozen=True)
class Points:
    """Vectors and what is known of each.

    Attributes:
        table: a row a point: id, kind (`ENTRY`, `PROTOTYPE`, `CLIP`), clip_id (its source; empty of
            a prototype), label (null where hidden), name, group (of the class), confidence (of an
            entry, or in the class that is said), age (of an entry: steps since it changed; else
            null), said and told (of a clip: the class, and right or wrong; else null).
        notes: what is left out.
    """

    vectors: Float[np.ndarray, "N D"]
    table: pd.DataFrame
    notes: list[str]

    def of(self, kind: str) -> pd.DataFrame:
        return self.table[self.table.kind == kind]

    def nearest(self, point: int, most: int = 6) -> pd.DataFrame:
        """The entries and clips nearest to a point by cosine, one a source clip, with `cosine`."""
        lengths = np.linalg.norm(self.vectors, axis=1)
        cosine = self.vectors @ self.vectors[point] / (lengths * lengths[point]).clip(min=1e-12)
        others = self.table.assign(cosine=cosine).drop(index=point)
        others = others[(others.kind != PROTOTYPE)]
        others = others[others.clip_id != self.table.clip_id[point]]
        others = others.sort_values("cosine", ascending=False, kind="stable")
        return others.drop_duplicates("clip_id").head(most)


def load_remembering(gesture: GestureRun) -> tuple[GestureSystem, Memory]:
    """The run's best model and its memory.

    Raises:
        RunError: it has none.
    """
    system = load_gesture(gesture.run, gesture.data)
    memory = system.gesture.memory
    if memory is None:
        raise RunError(
            f"{gesture.run.folder.name}: was trained without memory; choose a run of memory=true"
        )
    return system, memory


def read_points(gesture: GestureRun, split: str = "test") -> Points:
    """Every entry and prototype, and the features of a part's clips.

    Raises:
        RunError: the run has no memory.
    """
    system, memory = load_remembering(gesture)
    parts = [entries_of(gesture, memory), prototypes_of(memory), clips_of(gesture, system, split)]
    vectors = np.concatenate([vectors for vectors, _ in parts])
    table = pd.concat([table for _, table in parts], ignore_index=True)
    known = table.label.notna()
    table["name"] = [name_of(int(n)) if k else "?" for n, k in zip(table.label, known, strict=True)]
    groups = [group_of(int(n)) if k else None for n, k in zip(table.label, known, strict=True)]
    table["group"] = pd.Categorical(groups, list(GROUPS), ordered=True)
    bare = gesture.data.bare & set(gesture.data.part(split).clip_id)
    notes = [f"{len(bare)} clips without any token are left out"] if bare else []
    empty = int((~memory.bank.filled.any(dim=1)).sum())
    notes.append(f"{empty} of {len(memory.bank.filled)} classes have no entry")
    return Points(vectors.astype(np.float32), table, notes)


def entries_of(gesture: GestureRun, memory: Memory) -> tuple[np.ndarray, pd.DataFrame]:
    bank = memory.bank
    sources = bank.source_ids(gesture.data.part("train").clip_id)
    label, slot = (axis.numpy() for axis in bank.filled.nonzero(as_tuple=True))
    table = pd.DataFrame(
        {
            "id": [f"entry-{c}-{s}" for c, s in zip(label, slot, strict=True)],
            "kind": ENTRY,
            "clip_id": [sources[c][s] for c, s in zip(label, slot, strict=True)],
            "label": pd.array(label, dtype="Int64"),
            "confidence": bank.confidence[label, slot].numpy(),
            "age": bank.age[label, slot].numpy().astype(float),
            "predicted": pd.array([pd.NA] * len(label), dtype="Int64"),
            "told": None,
        }
    )
    return bank.entries[label, slot].numpy(), table


def prototypes_of(memory: Memory) -> tuple[np.ndarray, pd.DataFrame]:
    """Of the classes that have an entry: those without were hardly ever right, and lie anywhere."""
    if not isinstance(memory.prototypes, Prototypes):
        vectors = np.empty((0, memory.bank.entries.shape[2]))
        label = np.empty(0, dtype=int)
    else:
        label = memory.bank.filled.any(dim=1).nonzero()[:, 0].numpy()
        vectors = memory.prototypes.vectors.detach().numpy()[label]
    table = pd.DataFrame(
        {
            "id": [f"prototype-{c}" for c in label],
            "kind": PROTOTYPE,
            "clip_id": "",
            "label": pd.array(label, dtype="Int64"),
            "confidence": np.nan,
            "age": np.nan,
            "predicted": pd.array([pd.NA] * len(label), dtype="Int64"),
            "told": None,
        }
    )
    return vectors, table


@torch.no_grad()
def clips_of(
    gesture: GestureRun, system: GestureSystem, split: str
) -> tuple[np.ndarray, pd.DataFrame]:
    """f before the memory, and what is said after it."""
    known = gesture.run.predictions().set_index("clip_id")
    vectors, ids = [np.empty((0, gesture.settings.width))], []
    for batch in in_order(gesture.data, split, gesture.settings.batch_size):
        fused = system(batch).fusion.f
        kept = [n for n, clip_id in enumerate(batch.clip_ids) if clip_id not in gesture.data.bare]
        vectors.append(fused[kept].float().numpy())
        ids += [batch.clip_ids[n] for n in kept]
    part = known.loc[ids]
    told = pd.Series(np.where(part.label == part.predicted, "right", "wrong"), dtype=object)
    table = pd.DataFrame(
        {
            "id": [f"clip-{clip_id}" for clip_id in ids],
            "kind": CLIP,
            "clip_id": ids,
            "label": part.label.astype("Int64").array,
            "confidence": probabilities(part).max(axis=1),
            "age": np.nan,
            "predicted": part.predicted.astype("Int64").array,
            "told": told.mask(part.label.isna().to_numpy(), None),
        }
    )
    return np.concatenate(vectors), table
