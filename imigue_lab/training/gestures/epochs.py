"""The clips of a part as batches: shuffled for training, in order for what is predicted.

They are read in a thread while the model works, for pictures take their time.
"""

from collections.abc import Iterator

from imigue_lab.data.samplers import BalancedSampler
from imigue_lab.features.flow import ahead
from imigue_lab.training.gestures.batches import GestureBatch
from imigue_lab.training.gestures.tokens import GestureTokens
from imigue_lab.training.ranks import ALONE, Piece, Ranks


class TokenBatches:
    """Shuffled batches of like length, classes nearer to equal shares (`BalancedSampler`)."""

    def __init__(self, data: GestureTokens, batch_size: int, seed: int, balance: float):
        self.data, self.clips = data, data.part("train")
        labels = self.clips.label.tolist()
        lengths = data.lengths(self.clips)
        self.sampler = BalancedSampler(lengths, labels, batch_size, seed, balance)

    def __len__(self) -> int:
        return len(self.sampler)

    def steps(self, epoch: int, ranks: Ranks = ALONE) -> Iterator[list[Piece]]:
        self.sampler.epoch = epoch
        yield from ahead(
            [
                Piece(self.data.batch(self.clips.iloc[own]), weight)
                for own, weight in ranks.deal(numbers)
            ]
            for numbers in self.sampler
        )


def in_order(
    data: GestureTokens, split: str, batch_size: int, ranks: Ranks = ALONE
) -> Iterator[GestureBatch]:
    """Every clip of a part once over all processes, those of like length together."""
    clips = data.part(split)
    clips = clips.assign(steps=data.lengths(clips)).sort_values("steps", kind="stable")
    yield from ahead(
        data.batch(clips.iloc[start : start + batch_size])
        for start in ranks.share(range(0, len(clips), batch_size))
    )
