"""The encoders that a finished run was trained on, opened again for other videos."""

from typing import cast

import torch

from imigue_lab.errors import RunError
from imigue_lab.features.catalogue import CATALOGUE, build_streams
from imigue_lab.features.encoders import Precision
from imigue_lab.features.streams import Stream
from imigue_lab.training.analysis.settings import AnalyseSettings
from imigue_lab.training.runs import Run


def open_encoder(run: Run, kind: str, settings: AnalyseSettings, device: torch.device) -> Stream:
    """What made the features named `kind` (rgb, context or face) in a run's checkpoint.

    Precision and, of rgb, the grid are tried until the fingerprint is the same.

    Raises:
        RunError: the features are made by no encoder here (made up, or someone's own), or the
            weights that are given make others.
        DataError: weights are missing or are another network's.
    """
    wanted = run.read_checkpoint("best")[kind]
    encoder = wanted.rpartition("-")[0]
    if encoder not in CATALOGUE:
        known = ", ".join(name for name, entry in CATALOGUE.items() if entry.stream == kind)
        raise RunError(
            f"{run.folder.name}: was trained on {kind} features of {encoder!r}, which nothing here"
            f" can make of a video; name a run on one of {known}"
        )
    made = []
    for precision in ("auto", "float32", "bf16"):
        for grid in (0, 1) if kind == "rgb" else (0,):
            (stream,) = build_streams(
                encoder,
                device,
                settings.context_weights,
                settings.face_weights,
                settings.detector,
                settings.detector_weights,
                grid,
                None if precision == "auto" else cast(Precision, precision),
            )
            if stream.encoding.name == wanted:
                return stream
            made.append(stream.encoding.name)
    raise RunError(
        f"{run.folder.name}: was trained on {wanted}, with these weights {encoder} is"
        f" {' or '.join(dict.fromkeys(made))}; give the weights and the detector that it was"
        " trained with"
    )
