"""Pose tokens in the feature store: encoded once, read by every later run.

Letters in shapes: M persons, T frames, S = T / 4 tokens in time, V joints, CC channels of both
streams, W width of a token.
"""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from imigue_lab.data.index import Index
from imigue_lab.data.store import EncoderStore, Encoding, create_store
from imigue_lab.data.workspace import short_hash
from imigue_lab.training.runs import Run

Skeleton = Float[Tensor, "M T V CC"]
PoseTokens = Float[Tensor, "M S V W"]


@dataclass(frozen=True)
class PoseStore:
    """`pose (M, S, V, W)` of each clip, as float16, with the places of its tokens.

    An item is read again only for the very skeleton that it was made of.
    """

    store: EncoderStore
    weights: Path

    def read(self, clip_id: str, skeleton: Skeleton) -> PoseTokens | None:
        """The tokens of a clip, or None where they are yet to be made."""
        if not self.store.path(clip_id).exists():
            return None
        facts = self.store.facts(clip_id)
        expected = {"fingerprint": self.store.encoding.fingerprint, "skeleton": digest_of(skeleton)}
        if not expected.items() <= facts.items():
            return None
        return torch.from_numpy(self.store.read(clip_id)["pose"])

    def write(self, clip_id: str, skeleton: Skeleton, tokens: PoseTokens, places: Tensor) -> None:
        features = {"pose": tokens.half().numpy(), "places": places.numpy()}
        self.store.write(clip_id, features, self.weights, {"skeleton": digest_of(skeleton)})


def open_pose_store(store: str, index: Index, runs: list[Run], frames: int) -> PoseStore:
    """The place of the tokens that the encoder of two runs, joint and bone, makes.

    Args:
        frames: that a clip is resampled to.
    """
    files = [run.folder / "best.safetensors" for run in runs]
    weights = "-".join(short_hash(file.read_bytes()) for file in files)
    encoding = Encoding("pose-2s-agcn", f"weights {weights}, {frames} frames")
    return PoseStore(create_store(store, index, encoding), files[0])


def digest_of(skeleton: Skeleton) -> str:
    return blake2b(skeleton.contiguous().numpy().tobytes(), digest_size=8).hexdigest()
