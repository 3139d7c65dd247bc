"""Features of short windows of whole videos by a finished run of 04, stored once.

A window has the median length of a labelled clip of train, and the network sees it as such a clip;
the features are what its last linear layer sees. Letters in shapes: N windows, D features, T
frames.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from torch import nn

from imigue_lab.data.index import Index
from imigue_lab.data.segments import slide, with_windows
from imigue_lab.data.store import EncoderStore, Encoding, create_store
from imigue_lab.data.workspace import progress
from imigue_lab.models.baselines import ROWS
from imigue_lab.training.baselines.clips import draws_in_order
from imigue_lab.training.baselines.data import load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import load_baseline
from imigue_lab.training.leaks import refuse_held_out
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.session import open_device

BATCH = 32  # windows
ONCE = {"test_clips": 1, "test_crops": 1, "test_flips": False}


class RunFeatures(NamedTuple):
    """Stored features of windows that start every so many frames, the last at the end."""

    store: EncoderStore
    length: int  # frames of a window
    step: int

    def rows(self, video_id: str) -> Float32[np.ndarray, "N D"]:
        return self.store.read(video_id)["features"].astype(np.float32)

    def __call__(self, video_id: str, frames: int) -> Float32[np.ndarray, "T D"]:
        """For each frame those of the window whose middle is nearest."""
        windows = slide(frames, 1, (float(self.length),), float(self.step))
        middle = (windows.start + windows.end).to_numpy() / 2
        nearest = np.searchsorted((middle[1:] + middle[:-1]) / 2, np.arange(frames))
        return self.rows(video_id)[nearest]


def sees_joints(run: Run) -> bool:
    """Whether a recogniser, or the network whose features are all that it sees, needs keypoints."""
    if run.settings()["settings"]["inputs"] != "run":
        return True
    encoder = find_run(run.provenance()["where"]["encoder_run"])
    return ROWS[encoder.settings()["settings"]["model"]].modality != "RGB"


def open_run_features(
    settings: RecognitionSettings, index: Index, videos: pd.DataFrame, length: int = 0
) -> RunFeatures:
    """Computes what is missing of the features of `encoder_run`.

    `videos` have video_id and frames; `length` is that of a window, 0 for the first time, on the
    data of the training. Raises RunError if the run was trained on what this one holds out, or is
    no baseline; DataError if a video cannot be read.
    """
    run = find_run(settings.encoder_run)
    net = load_baseline(run).to(device := open_device(settings.device).torch_device)
    own = BaselineSettings(**run.settings()["settings"]).model_copy(update=ONCE)
    if not length:
        split = own.model_copy(update={"fold": settings.fold, "seed": settings.seed})
        refuse_held_out("encoder_run", run, load_baseline_data(split, index).held_out)
        clips = index.clips[index.clips.split != "test"]
        length = int((clips.end - clips.start + 1).median())
    recipe = f"weights {run.weights_digest()}; {length} frames every {settings.step}"
    store = create_store(settings.store, index, Encoding(f"windows-{own.model}", recipe))
    kind = "video" if ROWS[own.model].modality == "RGB" else "keypoints"
    files = index.videos.set_index("video_id")[kind]
    stale = videos[[not store.is_fresh(i, Path(files[i])) for i in videos.video_id]]
    for video in progress(list(stale.itertuples()), desc="features", unit="video"):
        windows = slide(int(video.frames), 1, (float(length),), float(settings.step))
        alone = replace(index, videos=index.videos.assign(split="train"))
        data = load_baseline_data(own, with_windows(alone, {video.video_id: windows}))
        found = encode(net, data.clips("train", own), device)
        width = next(iter(found.values())).shape[0]
        names = [f"{video.video_id}_{a}_{b}" for a, b in windows.itertuples(index=False)]
        rows = [found.get(name, np.zeros(width, np.float16)) for name in names]  # none is visible
        store.write(video.video_id, {"features": np.stack(rows)}, Path(files[video.video_id]))
    return RunFeatures(store, length, settings.step)


@torch.no_grad()
def encode(net: nn.Module, clips: Any, device: torch.device) -> dict[str, np.ndarray]:
    """The mean input (D,) of the network's last linear layer, by clip id, as float16."""
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    seen = list[torch.Tensor]()
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    found = dict[str, np.ndarray]()
    for (batch,) in draws_in_order(clips, BATCH):
        net(*clips.enter(batch.to(device)))
        each = seen.pop().reshape(len(batch.clip_ids), -1, last.in_features).mean(dim=1)
        found |= dict(zip(batch.clip_ids, each.half().cpu().numpy(), strict=True))
    hook.remove()
    return found
