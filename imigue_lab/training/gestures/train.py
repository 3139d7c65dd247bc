"""Trains and scores the gesture model: settings in, a finished run folder out (paper section 2)."""

from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.models.gesture import Candidates, GestureModel, GestureOutput, build_gesture
from imigue_lab.models.gesture_loss import gesture_loss
from imigue_lab.models.memory import alpha_at
from imigue_lab.training.baselines.train import validation_scores
from imigue_lab.training.gestures.pose_encoder import (
    build_pose_encoder,
    load_pose_encoder,
    token_width,
)
from imigue_lab.training.gestures.rgb_encoder import build_rgb_encoder, load_rgb_encoder
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.system import GestureBatch, GestureSystem
from imigue_lab.training.gestures.tokens import (
    GestureTokens,
    TokenBatches,
    in_order,
    load_gesture_tokens,
)
from imigue_lab.training.loop import Hooks, Stopping, fit
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.runs import Row, Run, open_run
from imigue_lab.training.scores import score_table
from imigue_lab.training.session import Session, open_session

MODEL_SETTINGS = (
    *("width", "heads", "fusion", "merge", "memory", "bank", "top_k", "momentum", "warmup"),
)


class Steps:
    """The loss of each step, and what the memory keeps of it: read first, then write.

    With several processes each writes the clips of all, so that all have the same bank.
    """

    def __init__(self, gesture: GestureModel, settings: GestureSettings, ranks: Ranks):
        self.gesture, self.settings, self.ranks = gesture, settings, ranks
        self.alpha = 0.0
        self.seen: list[Candidates] = []

    def begin_epoch(self, epoch: int) -> None:
        asked = self.settings
        self.gesture.begin_epoch(epoch)
        self.alpha = alpha_at(epoch, asked.alpha, asked.warmup, asked.ramp)

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
    """The candidates of all pieces and processes of one step; the bank orders them by clip id."""
    if len(seen) == 1:
        return seen[0]
    return Candidates(
        torch.cat([t.f.to(device) for t in seen]),
        torch.cat([t.logits.to(device) for t in seen]),
        torch.cat([t.label.to(device) for t in seen]),
        [clip_id for t in seen for clip_id in t.clip_ids],
    )


def train_gesture(settings: GestureSettings, data: GestureTokens | None = None) -> Run:
    """Trains, or resumes, or returns at once what is finished; the pose encoder before it.

    The test split is read once, after the last epoch, by the model of the best validation epoch.

    Args:
        data: of these settings, where it is loaded already.
    """
    data = data or load_gesture_tokens(settings)
    run = open_run("gesture", settings, data.identity())
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        fabric, ranks = session.fabric, session.ranks
        checkpoint = checkpoint_of(settings, data)
        encoder = load_pose_encoder(data.runs, data.gestures).requires_grad_(settings.finetune)
        gesture = build_gesture(**checkpoint["model"])
        rgb_encoder = load_rgb_encoder(data.rgb_input.run) if data.rgb_input else None
        system = GestureSystem(encoder, gesture, rgb_encoder)
        optimizer = torch.optim.AdamW(
            system.parameter_groups(settings.weight_decay), lr=settings.lr
        )
        steps = Steps(system.gesture, settings, ranks)

        def evaluate(model: nn.Module) -> Row:
            predictions = predict(fabric, model, data, "validation", settings.batch_size, ranks)
            return validation_scores(predictions[predictions.label.notna()])

        best = fit(
            session,
            system,
            optimizer,
            ReduceLROnPlateau(optimizer, factor=0.5, patience=max(1, settings.patience // 2)),
            TokenBatches(data, settings.batch_size, settings.seed, settings.balance),
            steps.loss,
            evaluate,
            checkpoint,
            Stopping(settings.epochs, settings.patience, "validation_error", settings.settled),
            Hooks(steps.begin_epoch, steps.remember),
        )
        finish(session, best.to(fabric.device), data, settings.batch_size)
    return run


def checkpoint_of(settings: GestureSettings, data: GestureTokens) -> dict[str, Any]:
    """What the weights may be loaded into."""
    pose = [run.read_checkpoint("best")["arguments"] for run in data.runs]
    return {
        "task": "gesture",
        "classes": list(CLASSES),
        "keypoints": data.gestures.layout.name,
        "rgb": data.encoding.name,
        "frames": settings.frames,
        "pose": pose,
        **({"rgb_encoder": data.rgb_input.arguments} if data.rgb_input else {}),
        "model": {
            "rgb_dim": data.rgb_dim,
            "pose_dim": token_width(build_pose_encoder(pose)),
            "classes": len(CLASSES),
            "criteria": list(settings.criteria_on),
            **{name: getattr(settings, name) for name in MODEL_SETTINGS},
        },
    }


def load_gesture(run: Run, data: GestureTokens | None = None) -> GestureSystem:
    """The best model of a run in eval mode, its memory with it.

    Raises:
        RunError: not a gesture model's checkpoint, or made for other classes, keypoints or RGB
            tokens; the sentence says which.
    """
    found = run.read_checkpoint("best")
    wanted = {**found, "task": "gesture", "classes": list(CLASSES)}
    if data:
        wanted |= {"keypoints": data.gestures.layout.name, "rgb": data.encoding.name}
        wanted["rgb_encoder"] = data.rgb_input.arguments if data.rgb_input else None
    weights = run.load_weights("best", wanted)
    encoder, gesture = build_pose_encoder(found["pose"]), build_gesture(**found["model"])
    trained = found.get("rgb_encoder")
    system = GestureSystem(encoder, gesture, build_rgb_encoder(trained) if trained else None)
    system.load_state_dict(weights)
    return system.eval()


@torch.no_grad()
def predict(
    fabric: Fabric,
    model: nn.Module,
    data: GestureTokens,
    split: str,
    batch_size: int,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """One row a clip of a part, keyed by id; a clip never retrieves its own entry.

    Columns: clip_id, video_id, subject, split, label (null where hidden), said (the most probable
    class), based_on (both, rgb, pose or nothing), p0 ... of the classes.
    """
    model.eval()
    parts = []
    for batch in in_order(data, split, batch_size, ranks):
        with fabric.autocast():
            output = model(batch.to(fabric.device))
        probability = output.logits.float().softmax(dim=1).cpu().numpy()
        part = pd.DataFrame(probability).add_prefix("p")
        part.insert(0, "clip_id", batch.clip_ids)
        part.insert(1, "predicted", probability.argmax(axis=1))
        part.insert(2, "based_on", output.based_on)
        parts.append(part)
    known = data.gestures.split.clips[["clip_id", "video_id", "subject", "split", "label"]]
    table = pd.concat([part for own in ranks.gather(parts) for part in own])
    return known.merge(table, on="clip_id", validate="one_to_one")


def finish(session: Session, model: nn.Module, data: GestureTokens, batch_size: int) -> None:
    """Predicts every part, and writes it with what made it."""
    parts = [split for split in ("train", "validation", "test") if len(data.part(split))]
    predictions = pd.concat(
        predict(session.fabric, model, data, part, batch_size, session.ranks) for part in parts
    ).sort_values("clip_id", ignore_index=True)
    session.finish(
        predictions,
        score_table,
        data.remarks(),
        pose=[run.folder.name for run in data.runs],
        rgb=data.filmed.run.folder.name if data.filmed else data.encoding.name,
    )
