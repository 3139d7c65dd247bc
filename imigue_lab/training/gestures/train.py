"""Trains and scores the gesture model: settings in, a finished run folder out (paper section 2)."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from imigue_lab.data.index import SPLITS
from imigue_lab.data.samplers import log_prior
from imigue_lab.data.skeletons.keypoints import to_stored
from imigue_lab.models.baselines import build_baseline
from imigue_lab.models.gesture import Candidates, GestureModel, GestureOutput, build_gesture
from imigue_lab.models.gesture_loss import gesture_loss
from imigue_lab.models.graph.agcn import TwoStream, build_agcn
from imigue_lab.models.memory import alpha_at
from imigue_lab.training.baselines.train import load_baseline
from imigue_lab.training.gesture_clips import clip_rows, open_clip_run, prediction_table
from imigue_lab.training.gestures.map_encoder import MapEncoder
from imigue_lab.training.gestures.pose_encoder import load_pose_encoder
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.system import GestureBatch, GestureSystem
from imigue_lab.training.gestures.tokens import (
    GestureTokens,
    in_order,
    load_gesture_tokens,
    training_batches,
)
from imigue_lab.training.leaks import record_training_clips, refuse_leaked
from imigue_lab.training.loop import Stopping, fit, select_epochs
from imigue_lab.training.optimisers import parameter_groups
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.runs import Row, Run
from imigue_lab.training.scores import validation_scores
from imigue_lab.training.session import Device, open_session

MODEL_SETTINGS = "width heads fusion merge memory bank top_k momentum warmup reads centred".split()


class Steps:
    """The loss of each step, and the update of the bank after it: read first, then write.

    Every process writes the candidates of all processes, so that all have the same bank.
    """

    def __init__(self, gesture: GestureModel, settings: GestureSettings, ranks: Ranks):
        self.gesture, self.settings, self.ranks = gesture, settings, ranks
        self.alpha = 0.0
        self.seen: list[Candidates] = []

    def begin_epoch(self, epoch: int) -> None:
        settings = self.settings
        self.gesture.begin_epoch(epoch)
        self.alpha = alpha_at(epoch, settings.alpha, settings.warmup, settings.ramp)

    def loss(self, model: nn.Module, batch: GestureBatch) -> Tensor:
        output: GestureOutput = model(batch)
        candidates = self.gesture.candidates(output, batch.label, batch.clip_ids)
        self.seen += [candidates] if candidates else []
        loss_on, margin = self.settings.loss_on, self.settings.margin
        size = len(batch.clip_ids)
        return gesture_loss(output, batch.label, self.alpha, size, loss_on, margin).total

    def remember(self) -> None:
        seen = [candidates for own in self.ranks.gather(self.seen) for candidates in own]
        if seen:
            self.gesture.remember(pooled(seen, self.gesture.theta.device))
        self.seen = []


def pooled(seen: list[Candidates], device: torch.device) -> Candidates:
    """The candidates of all pieces and processes of a step; the bank sorts them by clip id."""
    *tensors, clip_ids = zip(*seen, strict=True)
    f, logits, label = (torch.cat([x.to(device) for x in own]) for own in tensors)
    return Candidates(f, logits, label, [clip_id for own in clip_ids for clip_id in own])


def train_gesture(
    settings: GestureSettings,
    loaded: GestureTokens | None = None,
    fit: Callable[..., nn.Module] = fit,
) -> Run:
    """Trains or resumes a run, its pose encoder first; a finished one is returned at once.

    The test split is read once, after the last epoch, by the model of the kept epoch. With `refit`
    another run finds the number of epochs first. `loaded` is what `load_gesture_tokens(settings)`
    returns, if it is loaded already; `fit` trains: a trial (`training.trial`) has its own.
    """
    data = loaded or load_gesture_tokens(settings)
    selection, data = select_epochs(train_gesture, settings, data)
    run = open_clip_run("gesture", settings, data.identity(), data.gestures.split.vocabulary)
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        device, ranks, batch_size = session.device, session.ranks, settings.batch_size
        if ranks.first:
            record_training_clips(run, data.training_clips)
        checkpoint = checkpoint_of(settings, data)
        encoder = None
        if not data.pose_tokens:
            encoder = load_pose_encoder(data.runs, data.gestures).requires_grad_(settings.finetune)
        gesture = build_gesture(**checkpoint["model"])
        labels = data.part("train").label.tolist()
        offsets = log_prior(labels, settings.corrected, len(checkpoint["classes"]))
        gesture.prior.copy_(torch.tensor(offsets))
        rgb = data.rgb_input
        rgb_encoder = MapEncoder(load_baseline(rgb.run), rgb.settings.model) if rgb else None
        system = GestureSystem(encoder, gesture, rgb_encoder)
        optimizer = torch.optim.AdamW(trained_groups(system, settings), settings.lr)
        steps = Steps(system.gesture, settings, ranks)
        limits = settings.epochs, settings.patience

        def predicted(split: str, model: nn.Module) -> pd.DataFrame:
            return predict(device, model, data, split, batch_size, ranks)

        def evaluate(model: nn.Module) -> Row:
            return validation_scores(predicted("validation", model))

        best = fit(
            session,
            system,
            optimizer,
            "plateau",
            training_batches(data, batch_size, settings.seed, settings.balance),
            steps.loss,
            evaluate if len(data.part("validation")) else None,
            checkpoint,
            Stopping(*limits, "validation_error", settings.settled, settings.keep),
            selection,
            begin_epoch=steps.begin_epoch,
            after_step=steps.remember,
        )
        session.finish(
            [predicted(split, best) for split in SPLITS if len(data.part(split))],
            checkpoint["classes"],
            data.remarks(),
            pose=[run.folder.name for run in data.runs],
            rgb=data.filmed.run.folder.name if data.filmed else data.encoding.name,
        )
    return run


def trained_groups(system: GestureSystem, settings: GestureSettings) -> list[dict[str, Any]]:
    """Of the gesture model, and of each network that is fine-tuned below it."""
    how = settings.weight_decay, settings.decay_norms
    groups = parameter_groups(system.gesture, settings.lr, *how)
    pose, rgb = system.encoder, system.rgb_encoder
    below = [pose.joint, pose.bone] if pose and settings.finetune else []
    for network in [*below, *([rgb] if rgb else [])]:
        rate = settings.backbone_lr * settings.lr
        groups += parameter_groups(network, rate, *how, layer_decay=settings.layer_decay)
    return groups


def checkpoint_of(settings: GestureSettings, data: GestureTokens) -> dict[str, Any]:
    """Describes the weights: which classes, keypoints, tokens and model they fit."""
    assert data.posed is not None
    graphs = [] if data.pose_tokens else data.runs
    names = list(data.gestures.split.vocabulary.classes)
    return {
        "task": "gesture",
        "classes": names,
        "keypoints": to_stored(data.gestures.layout),
        "rgb": data.encoding.name,
        "frames": settings.frames,
        "pose": [run.read_checkpoint("best")["arguments"] for run in graphs],
        **({"pose_tokens": data.pose_tokens} if data.pose_tokens else {}),
        **({"rgb_encoder": data.rgb_input.arguments} if data.rgb_input else {}),
        "model": {
            "rgb_dim": data.rgb_dim,
            "pose_dim": data.posed.shape[-1],
            "classes": len(names),
            "criteria": list(settings.criteria_on),
            **{name: getattr(settings, name) for name in MODEL_SETTINGS},
        },
    }


def load_gesture(run: Run, data: GestureTokens | None = None) -> GestureSystem:
    """The best model of a run with its memory, in eval mode, to be applied to `data`.

    Raises RunError if it is no gesture model, or was trained on other classes, keypoints or RGB
    tokens, or with an encoder that had seen what the run holds out.
    """
    refuse_leaked(run)
    expected: dict[str, Any] = {}
    if data:
        expected = {"keypoints": to_stored(data.gestures.layout), "rgb": data.encoding.name}
        expected["rgb_encoder"] = data.rgb_input.arguments if data.rgb_input else None
        expected["pose_tokens"] = data.pose_tokens
        expected["classes"] = list(data.gestures.split.vocabulary.classes)
    return run.load_model(build_system, task="gesture", **expected)


def build_system(checkpoint: dict[str, Any]) -> GestureSystem:
    """An untrained system from `checkpoint_of`."""
    encoder = None
    if checkpoint["pose"]:
        encoder = TwoStream(*(build_agcn(**stream) for stream in checkpoint["pose"]))
    gesture, rgb_encoder = build_gesture(**checkpoint["model"]), None
    if arguments := checkpoint.get("rgb_encoder"):
        rgb_encoder = MapEncoder(build_baseline(**arguments), arguments["name"])
    return GestureSystem(encoder, gesture, rgb_encoder)


@torch.no_grad()
def predict(
    device: Device,
    model: nn.Module,
    data: GestureTokens,
    split: str,
    batch_size: int,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """One row per clip of a split, keyed by id; a clip never retrieves its own entry.

    Columns: clip_id, video_id, subject, split, label (null where hidden), predicted (most probable
    class), based_on (both, rgb, pose or nothing), w_pose, unrefined (predicted class before the
    memory is read), p0 ... of the classes, and the logits of the heads, pose0 ... and rgb0 ...
    (`GestureOutput.heads`): p = softmax(w_pose pose + w_rgb rgb).
    """
    model.eval()
    rows = []
    for batch in in_order(data, split, batch_size, ranks):
        with device.autocast():
            output = model(batch.to(device.torch_device))
        probability = output.logits.float().softmax(dim=1).cpu().numpy()
        how: dict[str, Any] = {"based_on": output.based_on, "w_pose": float(output.w_pose)}
        how["unrefined"] = output.unrefined.argmax(dim=1).cpu().numpy()
        heads = [
            pd.DataFrame(logits.float().cpu().numpy()).add_prefix(name)
            for name, logits in zip(("pose", "rgb"), output.heads, strict=True)
        ]
        rows.append(clip_rows(batch.clip_ids, probability, **how).join(heads))
    return prediction_table(rows, data.gestures.split, ranks)
