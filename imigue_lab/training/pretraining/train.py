"""Pre-trains an encoder to reconstruct what is masked; probes it with labelled clips.

Settings in, a finished run folder out, from which 04 starts (`checkpoint`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from imigue_lab.data.index import is_synthetic
from imigue_lab.data.skeletons.declared import to_stored
from imigue_lab.models.baselines import SIZES
from imigue_lab.models.mamp import MotionPredictor
from imigue_lab.models.pictures.videomae import VideoPainter
from imigue_lab.training.baselines.clips import Clips, draws_in_order, training_batches
from imigue_lab.training.leaks import record_training_clips
from imigue_lab.training.loop import Stopping, build_optimizer, build_scheduler, fit
from imigue_lab.training.pretraining.data import PretrainingData, load_pretraining_data
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.ranks import Ranks
from imigue_lab.training.runs import Row, Run, open_run
from imigue_lab.training.session import Device, open_session
from imigue_lab.training.statistics import interval_of_mean

NEIGHBOURS = 5
DECODERS = {
    "small": {"decoder_width": 32, "decoder_depth": 1},
    "paper": {},
}


def pretrain(settings: PretrainSettings, loaded: PretrainingData | None = None) -> Run:
    """Trains or resumes a run; a finished one is returned at once.

    Args:
        loaded: what `load_pretraining_data(settings)` returns, if it is loaded already.
    """
    data = loaded or load_pretraining_data(settings)
    run = open_run("pretraining", settings, data.identity(), data.windows.split.vocabulary)
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        device, ranks = session.device, session.ranks
        if ranks.first:
            record_training_clips(run, **data.windows.training_clips)
        checkpoint = checkpoint_of(settings, data)
        model = build_pretraining(checkpoint)
        optimizer = build_optimizer("adamw", model, settings.lr, settings.weight_decay)
        clips = data.clips("train", settings, training=True)
        validation = data.clips("validation", settings)

        def evaluate(model: nn.Module) -> Row:
            errors = reconstruct(device, model, validation, settings.batch_size, ranks)
            row: Row = {"validation_loss": float(errors.error.mean())}
            if settings.probe:
                row["probe_accuracy"] = neighbours(*examples(device, model, data, settings))
            return row

        best = fit(
            session,
            model,
            optimizer,
            build_scheduler(settings.scheduler, optimizer, settings.epochs, settings.patience),
            training_batches(clips, settings.batch_size, settings.seed, balance=0.0),
            lambda model, batch: model(*clips.enter(batch)).loss,
            evaluate if len(validation) else None,
            checkpoint,
            Stopping(settings.epochs, settings.patience, keep=settings.keep),
        )
        tables = []
        for split in ("train", "validation"):
            own = data.clips(split, settings)
            rows = reconstruct(device, best, own, settings.batch_size, ranks)
            tables.append(data.windows.split.clips.merge(rows, on="clip_id"))
        windows = pd.concat(tables)[["clip_id", "video_id", "subject", "split", "error", "guess"]]
        scores = error_table(windows, settings.seed)
        if settings.probe:
            scores = pd.concat([scores, probe_table(device, best, data, settings)])
        remarks, synthetic = data.remarks(), is_synthetic(settings.data)
        session.finish([windows], [], remarks, scores=scores, synthetic=synthetic)
    return run


def checkpoint_of(settings: PretrainSettings, data: PretrainingData) -> dict[str, Any]:
    """Describes the weights: what they were trained on, and the model's arguments."""
    model = "mamp" if settings.kind == "motion" else "videomae-b"
    sizes = {k: v for k, v in SIZES[model][settings.size].items() if k != "hidden"}
    arguments = sizes | DECODERS[settings.size]
    if gestures := data.windows.gestures:
        layout = gestures.layout
        arguments |= {"joints": len(layout.joints), "frames": settings.frames, "channels": 3}
        arguments |= {"axes": layout.axes, "ratio": settings.ratio}
        arguments |= {"temperature": settings.temperature}
        if settings.together:
            arguments["groups"] = limbs_of(layout.bones, len(layout.joints))
        keypoints = to_stored(layout)
    else:
        side = data.windows.pictures.side
        keypoints = ""
    return {
        "task": "pretraining",
        "model": model,
        "keypoints": keypoints,
        "classes": list(data.windows.split.vocabulary.classes),
        "arguments": arguments,
    }
