"""The plain layout for anyone's own data: tables with a header, files named after the video id.

    videos.csv                    video_id,split[,outcome][,subject]
    clips.csv                     clip_id,video_id,start,end,class        if there are clips
    videos/<id>.mp4               if there are videos
    keypoints/<id>.npy            (frames, joints, 3), or <id>.pose, or a folder of OpenPose JSON

Split is train, validation or test; outcome win, lose, 1, 0 or empty; frames count from 0, the end
inclusive; class is 1 to 31 or 99 as in iMiGUE's files.

A folder of videos without a table is read as well: each video is its own subject, without a split.
"""

from collections.abc import Callable
from pathlib import Path

from imigue_lab.data.index import Problem, Survey
from imigue_lab.data.layouts.inventory import VIDEO_SUFFIXES, Inventory, add_picture_facts
from imigue_lab.data.layouts.tables import parse_clip, parse_outcomes, read_rows, restore_zeros
from imigue_lab.errors import some


def read_plain(root: Path) -> Survey:
    """Surveys the data at `root`, which contains `videos.csv`."""
    survey = Survey(root, "plain")
    add_videos(root / "videos.csv", survey)
    if (path := root / "clips.csv").exists():
        add_clips(path, survey)
    else:
        survey.absent.append("no clips.csv: no gestures are known")
    add_picture_facts(survey)
    return survey


def read_folder(inventory: Inventory) -> Survey:
    """Surveys a folder of videos; the id is the file name without its ending."""
    survey = Survey(inventory.root, "plain")
    survey.absent.append("no videos.csv: no splits, outcomes, subjects or gestures are known")
    first: dict[str, Path] = {}
    for path in inventory.videos_of_any_name:
        other = first.setdefault(path.stem, path)
        if other != path:
            what = f"expected unique file names, got the same at {other}"
            survey.report("duplicate id", path, None, what, "rename one of them")
    survey.videos = [{"video_id": name, "video": path} for name, path in sorted(first.items())]
    add_picture_facts(survey)
    return survey


def add_videos(path: Path, survey: Survey) -> None:
    table, problems = read_rows(path, ["video_id", "split"])
    survey.problems += problems
    videos = table[["video_id", "split"]].copy()
    if "outcome" in table:
        videos["outcome"], outcome_problems = parse_outcomes(path, table.outcome)
        survey.problems += outcome_problems
    else:
        survey.absent.append("videos.csv has no outcomes: the emotion track needs them")
    if "subject" in table:
        videos["subject"] = table.subject.replace("", None)
    else:
        survey.absent.append("videos.csv has no subjects: each video is its own subject")
    files = {kind: list_files(survey.root / folder, is_one) for kind, folder, is_one in FILES}
    ids = list(videos.video_id)
    fit = restore_zeros(ids, {name for found in files.values() for name in found})
    for row in videos.to_dict("records"):
        own = fit.get(row["video_id"], row["video_id"])
        survey.videos.append(row | {kind: found.get(own) for kind, found in files.items()})
    if fit:
        pairs = some(f"{short} is {name}" for short, name in fit.items())
        survey.absent.append(f"videos.csv lacks leading zeros of file names: {pairs}")
    for kind, found in files.items():
        without = [row["video_id"] for row in survey.videos if row[kind] is None]
        over = [path.name for name, path in found.items() if name not in {*ids, *fit.values()}]
        if without and found:
            survey.absent.append(f"videos.csv names videos without a {kind} file: {some(without)}")
        if over:
            survey.absent.append(f"videos.csv does not name these {kind} files: {some(over)}")


def list_files(folder: Path, is_one: Callable[[Path], bool]) -> dict[str, Path]:
    """The files of a folder by id; of several, the one whose ending comes first in the lists."""
    paths = [path for path in sorted(folder.iterdir()) if is_one(path)] if folder.is_dir() else []
    paths.sort(key=lambda path: [*VIDEO_SUFFIXES, *KEYPOINTS].index(ending_of(path)), reverse=True)
    return {path.name.removesuffix(path.suffix if ending_of(path) else ""): path for path in paths}


def ending_of(path: Path) -> str:
    return "" if path.is_dir() else path.suffix.lower()


KEYPOINTS = (".npy", ".pose", "")  # the last is a folder of JSON files
FILES: list[tuple[str, str, Callable[[Path], bool]]] = [
    ("video", "videos", lambda path: path.suffix.lower() in VIDEO_SUFFIXES),
    ("keypoints", "keypoints", lambda path: ending_of(path) in KEYPOINTS),
]


def add_clips(path: Path, survey: Survey) -> None:
    columns = ["clip_id", "video_id", "start", "end", "class"]
    table, problems = read_rows(path, columns)
    survey.problems += problems
    splits = {row["video_id"]: row["split"] for row in survey.videos}
    if fit := restore_zeros(table.video_id, splits):
        table = table.assign(video_id=table.video_id.replace(fit))
        survey.absent.append(f"clips.csv lacks leading zeros, added to {some(fit)}")
    for row, clip_id, video_id, start, end, label in table[columns].itertuples():
        if video_id not in splits:
            what = f"expected a video of videos.csv for clip {clip_id}, got {video_id!r}"
            survey.report("unknown video", path, row, what, "add or correct it")
            continue
        clip = parse_clip(path, row, (label, start, end), hidden=splits[video_id] == "test")
        if isinstance(clip, Problem):
            survey.problems.append(clip)
        else:
            survey.clips.append({"clip_id": clip_id, "video_id": video_id} | clip)
    labelled = {clip["video_id"] for clip in survey.clips}
    if others := [video_id for video_id in splits if video_id not in labelled]:
        survey.absent.append(f"no labelled clips of {some(others)}")
