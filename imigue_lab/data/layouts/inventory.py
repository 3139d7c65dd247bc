"""The inventory of an iMiGUE copy: the files of each video, and the split of their folder.

The name of a file determines its kind (`0054_label.csv`, `0054.mp4`, `0054_17.mp4`), so any nesting
of folders works; folder names only determine the split. `finish` completes the survey of a tree:
files of single clips, frame rates and sizes, and what is missing.
"""

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from imigue_lab.data.index import SPLITS, Row, Survey

ENDINGS = "mp4 mkv mov avi webm m4v mts m2ts ts mpg mpeg 3gp wmv flv"
VIDEO_SUFFIXES = tuple(f".{end}" for end in ENDINGS.split())
NAME = re.compile(
    r"(?P<video>\d{4})(_(?P<row>\d{1,6}))?(_(?P<part>label|light_hand|light|openpose))?"
    rf"(?P<suffix>(?i:\.csv|\.xlsx|{'|'.join(map(re.escape, VIDEO_SUFFIXES))}))",
    re.ASCII,
)
# ending, whether there is the number of a clip, part of the name -> kind of a file
KINDS: dict[tuple[str, bool, str | None], str] = {
    ("video", False, None): "video",
    ("video", True, None): "clip video",
    (".xlsx", True, None): "clip keypoints",
    (".xlsx", False, "openpose"): "openpose",
    **{(".csv", False, part): part for part in ("label", "light_hand", "light")},
}
DATA_ENDINGS = ("_label.csv", "_light_hand.csv", ".xlsx")
SPLIT_FOLDER = re.compile(
    r"(.*[_-])?(?P<split>train|val|valid|validate|validation|test|phase_?2)([_-](data|set))?",
    re.IGNORECASE,
)
POSE_KINDS = ("light_hand", "openpose", "light")  # in order of preference
COLUMNS = {"clip video": "video", "clip keypoints": "keypoints"}  # kind of a clip file -> column


@dataclass(frozen=True)
class Found:
    """One file, or one folder named after a video.

    The kind is `label`, `light_hand`, `light`, `openpose`, `video`, `clip video`, `clip keypoints`
    or `folder`.
    """

    path: Path
    kind: str
    video_id: str
    row: int | None  # the number in the name of a file of a single clip
    split: str | None


@dataclass
class Inventory:
    """All files of a root with a known name, in the order of their paths.

    `lists` are other CSV and text files; `unknown` are files with an ending of data and a name that
    no layout of iMiGUE has.
    """

    root: Path
    found: list[Found] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)

    @property
    def tables(self) -> dict[str, Path]:
        """The lists by name, the first of each."""
        return {path.name: path for path in reversed(self.lists)}

    def of_kind(self, kind: str) -> list[Found]:
        return [item for item in self.found if item.kind == kind]

    @property
    def videos_of_any_name(self) -> list[Path]:
        """Videos whose names no layout of iMiGUE has."""
        return [path for path in self.unknown if is_video(path)]


def take_inventory(root: Path) -> Inventory:
    """Lists a tree; hidden files are skipped, linked folders followed once."""
    inventory = Inventory(root)
    seen = set()
    for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        resolved = Path(folder).resolve()
        if resolved in seen:
            folders.clear()
            continue
        seen.add(resolved)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        path = Path(folder)
        split = split_of([root.name, *path.relative_to(root).parts])
        if re.fullmatch(r"\d{4}", path.name):
            inventory.found.append(Found(path, "folder", path.name, None, split))
        for name in sorted(files):
            if not name.startswith("."):
                add_file(inventory, path / name, split)
    return inventory


def refuse(error: OSError) -> None:
    """A folder that cannot be listed: without this, `os.walk` passes over it."""
    raise error


def add_file(inventory: Inventory, path: Path, split: str | None) -> None:
    name, ending = NAME.fullmatch(path.name), "video" if is_video(path) else path.suffix.lower()
    kind = KINDS.get((ending, name["row"] is not None, name["part"])) if name else None
    if name and kind:
        row = None if name["row"] is None else int(name["row"])
        inventory.found.append(Found(path, kind, name["video"], row, split))
    elif is_video(path) or path.name.lower().endswith(DATA_ENDINGS):
        inventory.unknown.append(path)
    elif path.suffix.lower() in (".csv", ".txt"):
        inventory.lists.append(path)


def is_video(path: Path) -> bool:
    """Whether the ending, in upper or lower case, is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def split_of(folders: list[str]) -> str | None:
    """The split of the innermost folder that names one; `phase2` alone is the test split."""
    for name in reversed(folders):
        if match := SPLIT_FOLDER.fullmatch(name):
            split = match["split"].lower()
            if split.startswith("val"):
                return "validation"
            return "train" if split == "train" else "test"
    return None


def list_videos(inventory: Inventory, survey: Survey) -> dict[str, Row]:
    """A row for every video, in the order of their ids: its split and its files.

    A video in train and in validation belongs to validation, as in some packages of the challenge;
    in any other two splits it is a problem.
    """
    by_video: dict[str, list[Found]] = defaultdict(list)
    for item in inventory.found:
        by_video[item.video_id].append(item)
    videos: dict[str, Row] = {}
    for video_id, items in sorted(by_video.items()):
        splits = {item.split for item in items} - {None}
        split = next(iter(sorted(splits, key=str)), None)
        if splits == {"train", "validation"}:
            split = "validation"
            survey.in_train_too.append(video_id)
        elif len(splits) > 1:
            what = f"video {video_id} is in {' and '.join(sorted(map(str, splits)))}"
            survey.report("duplicate video", survey.root, None, what, "keep it in one split")
            continue
        used = [item for item in items if item.split in (split, None)]
        videos[video_id] = {"video_id": video_id, "split": split} | pick_files(used, survey)
    survey.note("validation videos are also in train and left out there:", survey.in_train_too)
    unknown = [path.relative_to(survey.root) for path in inventory.unknown]
    survey.note("files with unknown names are not read:", unknown)
    return videos


def pick_files(items: list[Found], survey: Survey) -> Row:
    """The files of one video, by kind: `label`, `video`, `keypoints`, and those of single clips."""
    files: dict[tuple[str, int | None], Path] = {}
    for item in items:
        first = files.setdefault((item.kind, item.row), item.path)
        if first != item.path and item.kind != "folder":
            what = f"the same file exists at {item.path}"
            survey.report("duplicate video", first, None, what, "keep one of them")
    poses = [files[kind, None] for kind in POSE_KINDS if (kind, None) in files]
    return {
        "label file": files.get(("label", None)),
        "video": files.get(("video", None)),
        "keypoints": poses[0] if poses else None,
        "richer": files.get(("openpose", None)) if ("light_hand", None) in files else None,
        "clip video": {r: p for (k, r), p in files.items() if k == "clip video"},
        "clip keypoints": {r: p for (k, r), p in files.items() if k == "clip keypoints"},
    }


def add_picture_facts(survey: Survey) -> None:
    """Frame rate, picture size and number of frames, from the video or from its first clip file."""
    source: dict[str, Path] = {}
    for row in survey.videos:
        clips = row.get("clip video") or {}
        if path := row["video"] or (clips[min(clips)] if clips else None):
            source[row["video_id"]] = path
    if not source:
        return
    from imigue_lab.data.videos.video import probe_all  # a tree without videos needs no decoder

    facts, problems = probe_all(sorted(source.values()), survey.root)
    survey.problems += problems
    for row in survey.videos:
        if info := facts.get(source.get(row["video_id"], survey.root)):
            row |= {"fps": info.fps, "width": info.width, "height": info.height}
            row["frames"] = info.frames if row["video"] else None


def finish(videos: dict[str, Row], survey: Survey) -> None:
    """Completes the survey of a tree of iMiGUE whose labels have been read."""
    survey.videos = list(videos.values())
    attach_clip_files(videos, survey)
    add_picture_facts(survey)
    list_absent(survey)


def attach_clip_files(videos: dict[str, Row], survey: Survey) -> None:
    """Fills `video` and `keypoints` of the survey's clips, and lists unmatched clips and files.

    Rows in `<video>_<row>` count from 0. A tree whose files all count from 1 (the last file of some
    video would match no row, and no file has the number 0) is recognised, and listed.
    """
    clips: dict[str, Row] = {str(clip["clip_id"]): clip for clip in survey.clips}
    rows: dict[str, int] = {}
    for clip_id in clips:
        video_id, _, row = clip_id.rpartition("_")
        rows[video_id] = max(rows.get(video_id, 0), int(row) + 1)
    for kind, column in COLUMNS.items():
        files = {video_id: row[kind] for video_id, row in videos.items() if row[kind]}
        if not files or not clips:
            continue
        ends = any(max(numbered) == rows.get(video_id, 0) for video_id, numbered in files.items())
        first = int(ends and min(map(min, files.values())) == 1)
        if first:
            survey.absent.append(f"the files of single clips ({column}) count from 1, rows from 0")
        unmatched = []
        for video_id, numbered in files.items():
            for number, path in numbered.items():
                if clip := clips.get(f"{video_id}_{number - first}"):
                    clip[column] = path
                else:
                    unmatched.append(path.name)
        survey.note("files that belong to no labelled clip:", unmatched)
        missing = [name for name, clip in clips.items() if clip.get(column) is None]
        survey.note(f"no {column} file for the clips", missing)


def list_absent(survey: Survey) -> None:
    """Adds one sentence for each kind of file or value that some videos lack."""
    rows = survey.videos
    if any(row.get("clip video") for row in rows):
        survey.absent.append("no whole videos: one file per clip, the length of videos is unknown")
    labelled = {clip["video_id"] for clip in survey.clips}

    def lacks(kind: str) -> list[Row]:
        return [row for row in rows if not row[kind] and not row.get(f"clip {kind}")]

    lacking = {
        "video file for": lacks("video"),
        "keypoints for": lacks("keypoints"),
        "labelled clips of": [row for row in rows if row["video_id"] not in labelled],
        "known split of": [row for row in rows if row["split"] is None],
    }
    for what, videos in lacking.items():
        survey.note(f"no {what}", [row["video_id"] for row in videos])
    splits = {row["split"] for row in rows}
    survey.absent += [f"no {split} split" for split in SPLITS if split not in splits]
