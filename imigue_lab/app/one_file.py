"""`imigue-lab check FILE`: what a single file contains, as the rest of the program reads it."""

from pathlib import Path

from imigue_lab.data.videos.frame_table import frame_table, seconds_of
from imigue_lab.data.videos.video import Video, probe, varies
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError

ASSUMED = 25.0  # frames a second of an annotated video that is not there
LONGEST = 900_000  # its frames


def describe(path: Path, decode: bool = False) -> str:
    """A video, label file, ELAN file, checkpoint or keypoints, by the ending; else DataError.

    `decode` decodes every frame of a video.
    """
    from imigue_lab.data.layouts.inventory import is_video

    ending = "" if path.is_dir() else path.suffix.lower()
    if is_video(path):
        return describe_video(path, decode)
    if ending == ".eaf":
        return describe_annotations(path)
    if ending in (".pth", ".pt", ".pyth", ".ckpt", ".safetensors"):
        from imigue_lab.models.checkpoints.registry import read_checkpoint, unwrap

        weights = unwrap(read_checkpoint(path), str(path))
        numbers = sum(weight.numel() for weight in weights.values())
        return f"{path}: {len(weights)} weights, {numbers} numbers; no code in it was run"
    if ending == ".csv" and "_label" in path.stem.lower():
        return describe_labels(path)
    from imigue_lab.features.poses import read_user_recording

    recording = read_user_recording(path)
    persons, frames, joints, _ = recording.skeleton.shape
    what = f"{path}: {recording.layout.name}, {persons} x {frames} frames of {joints} joints"
    return "\n".join([what, *recording.remarks])


def describe_video(path: Path, decode: bool) -> str:
    info = probe(path)
    with Video(path) as video:
        damaged = video.damaged() if decode else []
        video.frame(0)
        count, header, seconds = len(video), video.table.header, video.table.seconds
    if damaged or header not in (0, count):
        what = f"{len(damaged)} damaged" if damaged else f"{header} in the header"
        raise DataError(f"{path}: expected {count} frames, got {what}; copy it again")
    rate = f"{info.fps:.4g} a second" + ", at a variable rate" * varies(seconds)
    span = f"second {seconds[0]:.3f} to {seconds[-1]:.3f}"
    return f"{path}: {count} frames of {info.width} x {info.height}, {rate}, {span}"


def describe_annotations(path: Path) -> str:
    """The gestures of an ELAN file, by the video beside it that it names."""
    from imigue_lab.data.elan import media_of, read_eaf
    from imigue_lab.data.segments import named

    film = next((path.parent / name for name in media_of(path)), None)
    notes, times = [], seconds_of(None, ASSUMED, LONGEST)
    if film and film.exists():
        times = frame_table(film).seconds
    else:
        notes = [f"the video is not beside it: frames are counted at {ASSUMED:g} a second"]
    imigue = builtin("imigue")
    read = read_eaf(path, times, imigue, video=film.name if film else "")
    table = named(read.segments, imigue)[["class", "start", "end", "start_s", "end_s"]]
    return "\n".join([f"{path}:", table.to_string(index=False), *notes, *read.remarks])


def describe_labels(path: Path) -> str:
    from imigue_lab.data.index import Survey
    from imigue_lab.data.layouts.recognise import raise_first
    from imigue_lab.data.layouts.tables import read_label_file

    survey = Survey(path.parent, "miga")
    clips = read_label_file(path, False, survey)
    raise_first(survey.problems)
    name, of = path.stem.lower().partition("_label")[0], survey.vocabulary.label
    shown = [f"{name}_{n}: {c['start']} to {c['end']}, {of(c['label'])}" for n, c in clips.items()]
    return "\n".join([f"{path}: {len(clips)} clips", *shown[:5]])
