"""What is written of an analysed video, for tables, programs and annotators, and read back."""

import json
from pathlib import Path

from imigue_lab.data.elan import Corrected, read_eaf, write_eaf
from imigue_lab.data.segments import write_clips, write_csv, write_json
from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.training.analysis.analysis import Analysis


def export(analysis: Analysis) -> dict[str, Path]:
    """Writes what was found into the video's folder.

    An annotation file that somebody has changed since is left as it is.

    Returns:
        csv and json (segments), eaf (for annotators), emotion (one row), by these names.
    """
    own, base = analysis.own, analysis.folder / analysis.own.video_id
    paths = {kind: base.with_name(f"{base.name}.{kind}") for kind in ("csv", "json", "eaf")}
    paths["emotion"] = base.with_name(f"{base.name}_emotion.csv")
    written = written_before(paths["json"])
    if not paths["eaf"].exists() or short_hash(paths["eaf"].read_bytes()) == written:
        write_eaf(analysis.segments, own.source, own.fps, paths["eaf"])
        written = short_hash(paths["eaf"].read_bytes())
    told = analysis.prediction
    facts = {
        "video": own.source.name,
        "fps": own.fps,
        "frames": own.frames,
        "gesture_run": analysis.gesture_run.folder.name,
        "emotion_run": analysis.emotion.run.folder.name,
        "threshold": analysis.threshold,
        "probability_of_a_win": float(told.probability),
        "rests_on": told.rests_on,
        "remarks": analysis.remarks,
        "eaf_as_written": written,
    }
    write_csv(analysis.segments, paths["csv"])
    write_json(analysis.segments, paths["json"], facts)
    columns = ["video_id", "probability", "rests_on", "windows", "windows_with_face"]
    write_atomically(paths["emotion"], told[columns].to_frame().T.to_csv(index=False))
    return paths


def written_before(path: Path) -> str | None:
    """The digest of the annotation file as an earlier run wrote it."""
    return json.loads(path.read_text()).get("eaf_as_written") if path.exists() else None


def take_back(analysis: Analysis, eaf: Path) -> Corrected:
    """Reads the annotation file, corrected or not; its gestures become the folder's `clips.csv`.

    With it the folder is a data root of the plain layout.

    Raises:
        DataError: see `read_eaf`.
    """
    corrected = read_eaf(eaf, analysis.own.fps, analysis.own.frames)
    if len(corrected.segments):
        write_clips(corrected.segments, analysis.own.video_id, analysis.folder / "clips.csv")
    return corrected
