"""Extraction as notebook 00 and the command line run it: settings, device, processes."""

from typing import cast

import torch
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from imigue_lab.data.index import Index
from imigue_lab.features.catalogue import build_streams
from imigue_lab.features.encoders import Precision
from imigue_lab.features.extract import Report, extract
from imigue_lab.features.plan import Plan, plan_extraction
from imigue_lab.features.trial import Trial, try_out
from imigue_lab.training.session import open_fabric
from imigue_lab.training.settings import ExtractSettings


def extract_features(settings: ExtractSettings, index: Index) -> Report:
    """Says what will be made, and makes it; under torchrun or SLURM each process takes its files.

    Raises:
        LabError: an encoder, its weights or the store cannot be had; one sentence.
    """
    rank, processes, device = place_among_processes(settings.device)
    plan = plan_features(settings, index, device)
    if rank == 0:
        print(plan)
    return extract(plan, (rank, processes))


def plan_features(settings: ExtractSettings, index: Index, device: torch.device) -> Plan:
    """Opens the encoders and looks at what is to be made."""
    streams = build_streams(
        settings.encoders,
        device,
        settings.context_weights,
        settings.face_weights,
        settings.detector,
        settings.detector_weights,
        settings.grid,
        None if settings.precision == "auto" else cast(Precision, settings.precision),
    )
    return plan_extraction(index, streams, settings.store, settings.limit)


def try_features(settings: ExtractSettings, index: Index) -> Trial:
    """Says what would be made, and tells from two windows how long it would take."""
    *_, device = place_among_processes(settings.device)
    plan = plan_features(settings, index, device)
    print(plan)
    return try_out(plan)


def place_among_processes(device: str) -> tuple[int, int, torch.device]:
    """Rank, number of processes, and this one's device."""
    kind = open_fabric(device).device.type
    for environment in (TorchElasticEnvironment, SLURMEnvironment):
        if environment.detect():
            place = environment()
            own = torch.device(kind, place.local_rank()) if kind == "cuda" else torch.device(kind)
            return place.global_rank(), place.world_size(), own
    return 0, 1, torch.device(kind)
