"""Steps of masked pre-training against steps whose encoder and decoder both see all tokens.

90 % of the tokens are masked, the decoder has three blocks: MAMP at its published size on 120
frames of 25 joints, VideoMAE with ViT-S on 16 frames of 224 x 224. Times are CPU seconds of one
thread, so that other load on the machine does not count. First the memory of a step of ViT-B with
its published decoder, for which 5 GB must be free.

python -m benchmarks.masked_step        about a minute
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.steady import keep_freed_memory
from imigue_lab.models.baselines import SIZES
from imigue_lab.models.mamp import SEGMENT, MotionPredictor
from imigue_lab.models.pictures.videomae import VideoPainter, patches_of
from imigue_lab.training.session import cost_of

ROUNDS = 3
RATIO, BLOCKS = 0.9, 3
JOINTS, FRAMES = 25, 120
PERSONS, CLIPS, LARGE = 4, 1, 8  # in a batch: of MAMP, of ViT-S, and of ViT-B for its memory
SMALL = SIZES["videomae-s"]["paper"] | {"decoder_width": 192, "decoder_heads": 3}


def video_batch(model: VideoPainter, clips: int) -> tuple[Tensor, Tensor]:
    """Random clips, and which tokens are masked: the same places in all times."""
    times, rows, columns = model.encoder.grid
    places = torch.arange(rows * columns) < int(RATIO * rows * columns)
    return torch.randn(clips, 3, 16, 224, 224), places.repeat(clips, times)


def motion_losses(model: MotionPredictor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """The loss of pre-training, and one of all tokens, none of them masked."""
    skeletons = torch.randn(PERSONS, FRAMES, JOINTS, 3)
    uniform = torch.rand(PERSONS, FRAMES // SEGMENT * JOINTS)

    def masked() -> Tensor:
        model.ratio = RATIO
        return model(skeletons, uniform).loss

    def whole() -> Tensor:
        model.ratio = 0.0
        found = model(skeletons, uniform)
        return (found.predicted - found.target).square().mean()

    return masked, whole


def video_losses(model: VideoPainter) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """The loss of pre-training, and one of all tokens, none of them masked."""
    video, hidden = video_batch(model, CLIPS)

    def masked() -> Tensor:
        return model(video, hidden).loss

    def whole() -> Tensor:
        latent = model.encode(video, torch.zeros_like(hidden))
        found = model.decoder(model.narrow(latent) + model.positions)
        patches = model.decoder_head(model.decoder_norm(found))
        return (patches - patches_of(video, model.patch).normalised).square().mean()

    return masked, whole


def seconds(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> float:
    """CPU time of a step."""
    start = time.process_time()
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()
    return time.process_time() - start


def compare(name: str, model: nn.Module, losses: tuple[Callable[[], Tensor], ...]) -> float:
    """Prints and returns the ratio, within a round because a machine's speed drifts."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    took = [[seconds(optimizer, loss) for loss in losses] for _ in range(1 + ROUNDS)][1:]
    masked, whole = (min(times) for times in zip(*took, strict=True))
    ratio = median(one / other for one, other in took)
    print(f"{name}: masked {masked:.2f} s, all tokens {whole:.2f} s, ratio {ratio:.2f}", flush=True)
    return ratio


def peak_memory(model: VideoPainter, clips: int) -> int:
    """MiB of this process after a step of AdamW."""
    batch = video_batch(model, clips)
    seconds(torch.optim.AdamW(model.parameters(), lr=1e-4), lambda: model(*batch).loss)
    return cost_of(torch.device("cpu"), 0.0)["peak_memory_mib"]


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mib = peak_memory(VideoPainter(), LARGE)
    print(f"VideoMAE, ViT-B, {LARGE} clips of 16 x 224 x 224: {mib:,} MiB at most in float32")
    motion = MotionPredictor(JOINTS, FRAMES, decoder_depth=BLOCKS)
    compare(f"MAMP, {PERSONS} persons", motion, motion_losses(motion))
    video = VideoPainter(**SMALL, decoder_depth=BLOCKS)
    compare(f"VideoMAE, ViT-S, {CLIPS} clip", video, video_losses(video))


if __name__ == "__main__":
    main()
