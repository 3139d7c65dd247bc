"""Gives each clip the video and keypoint files that hold it alone, by the number in their names."""

from collections.abc import Iterable
from typing import Any

from imigue_lab.data.index import Row, Survey
from imigue_lab.errors import some

KINDS = {"clip video": "video", "clip keypoints": "keypoints"}  # what was found -> column


def attach_clip_files(videos: dict[str, Row], survey: Survey) -> None:
    """Fills `video` and `keypoints` of the survey's clips, and says which clips and files lack.

    `<video>_<row>` counts rows from 0. A tree whose files count from 1 throughout (some video's
    last file would belong to no row, and no file has the number 0) is read so, and says so.
    """
    clips: dict[str, Row] = {str(clip["clip_id"]): clip for clip in survey.clips}
    rows: dict[str, int] = {}
    for clip_id in clips:
        video_id, _, row = clip_id.rpartition("_")
        rows[video_id] = max(rows.get(video_id, 0), int(row) + 1)
    for kind, column in KINDS.items():
        files: dict[str, dict[int, Any]] = {
            video_id: numbered for video_id, row in videos.items() if (numbered := row[kind])
        }
        if not files or not clips:
            continue
        first = first_number(files.values(), [rows.get(video_id, 0) for video_id in files])
        if first:
            survey.absent.append(f"the files of single clips ({column}) count from 1, rows from 0")
        strange = []
        for video_id, numbered in files.items():
            for number, path in numbered.items():
                if clip := clips.get(f"{video_id}_{number - first}"):
                    clip[column] = path
                else:
                    strange.append(path.name)
        if strange:
            survey.absent.append(f"files that belong to no labelled clip: {some(strange)}")
        lacking = [name for name, c in clips.items() if c.get(column) is None]
        if lacking:
            survey.absent.append(f"no {column} file of the clips {some(lacking)}")


def first_number(files: Iterable[dict[int, Any]], rows: list[int]) -> int:
    """0, or 1 where every video's files start at 1 or later and one ends at its number of rows."""
    lists = list(files)
    from_one = min(min(numbered) for numbered in lists) == 1
    ends = any(max(numbered) == count for numbered, count in zip(lists, rows, strict=True))
    return int(from_one and ends)
