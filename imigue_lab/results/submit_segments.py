"""Submissions of segments (track 2 of MiGA and MAC): by the columns of a template, or a known form.

A row is a segment above the run's threshold. Frames count from 0 and the last one is in the
segment, as everywhere here; of 2023 from 1, as in SMG's labels, unless these count from 0.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.layouts.others import FROM_ZERO
from imigue_lab.data.source import open_data
from imigue_lab.data.videos.frame_table import seconds_of
from imigue_lab.errors import DataError, RunError, SettingsError, bounded, some, unreadable
from imigue_lab.results.submit import Numbering, write_zip
from imigue_lab.training.runs import Run, refuse_other_classes

SEGMENTS = ("video_id", "start", "end", "class", "confidence")  # of the plain form
MEANINGS = {  # of a column of a template, by its name in lower case
    "number": r"|index|unnamed.*",
    "video_id": r"vid|id|(video|sample)(_?(id|name))?",
    "start": r".*(start|begin|onset).*",
    "end": r".*(end|stop|offset).*",
    "class": r"class.*|label.*|action.*|pred.*",
    "confidence": r"score|conf.*|prob.*",
}
SECONDS = re.compile(r"t_.*|.*_s|.*(sec|time).*")  # other starts and ends are frames


def submit_segments(
    run: Run,
    form: str = "",
    header: str = "",
    numbering: Numbering = "zero",
    data: str = "",
    out: Path | None = None,
    template: Path | None = None,
) -> Path:
    """Writes the segments that a finished run of 11 found in all test videos; returns the zip.

    For other arguments and errors see `results.submit.submit`.

    Args:
        form: 2023, of SMG alone, a CSV for each video as its labels are, or plain; empty: 2023 of
            SMG, else plain.
        header: names of columns in place of those of a template.
        numbering: of a template or header alone; the forms have the ids of the data's files.
        template: CSV whose columns are written, by `MEANINGS` and `SECONDS`; ids in its rows must
            be those of test videos, and with the same ending.
    """
    where = run.provenance()["where"]
    index = open_data(data or where["data"], store=where["store"])
    refuse_other_classes(f"{run.folder} and {index.root}", run.vocabulary(), index.vocabulary)
    forms = ("plain", "2023") if index.layout == "smg" else ("plain",)
    names, example = read_template(template) if template else (list(SEGMENTS), [])
    names = [name.strip() for name in header.split(",")] if header else names
    year = form or ("template" if template or header else forms[-1])
    if year not in (*forms, "template") or (form and (template or header)):
        what = f"{' or '.join(forms)}, or a template or header without one"
        raise SettingsError.expected("format", what, year, "choose one of these for track 2")
    ids = index.videos.video_id[index.videos.split == "test"].tolist()
    ending = ".mp4" if example and all(own.endswith(".mp4") for own in example) else ""
    foreign = sorted({own.removesuffix(ending) for own in example} - {*ids})
    if foreign or not ids:
        what = "the template's videos in the test split" if foreign else "a test split"
        got = f"others: {some(foreign)}" if foreign else "none"
        raise DataError.expected(index.root, what, got, "name a root that has them with --data")
    table = run.predictions()
    table = table[table.kept & table.video_id.isin(ids)].sort_values(["video_id", "start", "end"])
    if table.empty:
        todo = "name the data that it was trained on, or another run"
        raise RunError.expected(run.folder, "segments of test videos", "none", todo)
    if year == "2023":
        first = FROM_ZERO not in index.absent
        table = table.assign(start=table.start + first, end=table.end + first)
        names = ["class", "start", "end"]
    rows = segment_rows(table, names, index, numbering if year == "template" else "csv", ending)
    if year == "2023":
        of_video = {own: rows[(table.video_id == own).to_numpy()] for own in ids}
        texts = {f"{own}_prediction.csv": to_text(part, None) for own, part in of_video.items()}
    else:
        texts = {"prediction.csv": to_text(rows, names)}
    facts = {"track": 2, "format": year, "numbering": numbering, "rows": len(rows)}
    return write_zip(run, facts | {"synthetic": index.synthetic}, texts, "prediction", out)


def segment_rows(
    table: pd.DataFrame, names: list[str], index: Index, numbering: Numbering, ending: str = ""
) -> pd.DataFrame:
    """Segments in named columns, by `MEANINGS` and `SECONDS`.

    Raises SettingsError for a column of another meaning, DataError for seconds of a video without a
    frame rate.
    """
    vocabulary, videos = index.vocabulary, index.videos.set_index("video_id")
    label = np.array(vocabulary.ids if numbering == "csv" else range(len(vocabulary)))[table.label]
    values = table.assign(number=range(len(table)), video_id=table.video_id + ending)
    values["class"] = label
    columns = []
    for name in (own.lower() for own in names):
        known = (own for own, form in MEANINGS.items() if re.fullmatch(form, name))
        if not (meaning := next(known, "")):
            what, todo = "columns of segments", f"write e.g. --header {','.join(SEGMENTS)}"
            raise SettingsError.expected("template", what, repr(name), todo)
        if meaning in ("start", "end") and SECONDS.fullmatch(name):
            frames = table[meaning] + (meaning == "end")
            columns.append(to_seconds(frames, table.video_id, videos).to_numpy())
        else:
            columns.append(values[meaning].to_numpy())
    return pd.DataFrame(dict(enumerate(columns)))


def to_seconds(frames: pd.Series, video_ids: pd.Series, videos: pd.DataFrame) -> pd.Series:
    """The seconds at which frames of several videos start."""
    parts = []
    for video_id, own in frames.groupby(video_ids):
        film, fps = (videos[key].dropna().get(video_id) for key in ("video", "fps"))
        if not (film or fps):
            what, todo = f"a video or frame rate of {video_id}", "use columns in frames"
            raise DataError.expected("template", what, "none", todo)
        times = seconds_of(Path(film) if film else None, fps or 1.0, int(own.max()))
        parts.append(pd.Series(times[own].round(3), own.index))
    return pd.concat(parts).loc[frames.index]


def read_template(path: Path) -> tuple[list[str], list[str]]:
    """The names of the columns, "" of one without, and the ids of videos in the rows."""
    try:
        table = pd.read_csv(bounded(path), dtype=str)
    except (OSError, ValueError) as error:
        raise unreadable(path, "not a readable CSV", error, "name the challenge's file") from error
    names = ["" if str(own).startswith("Unnamed: ") else str(own) for own in table]
    known = [re.fullmatch(MEANINGS["video_id"], name.lower()) is not None for name in names]
    return names, table.loc[:, known].stack().tolist()


def to_text(rows: pd.DataFrame, names: list[str] | None) -> str:
    return rows.to_csv(index=False, header=names or False, lineterminator="\n")
