"""The trees of the MiGA challenges, 2023 to 2026: a folder a video, with its own label file.

    imigue_data_phase1/datasets/imigue_skeleton_{train,validate}/<id>/<id>_{label,light_hand}.csv
    imigue_data_phase2/imigue_skeleton_test/<id>/...
    imigue_rgb_phase1/{train_data,validation_data}/<id>/<id>.mp4      from 2024 on
    imigue_rgb_phase2/<id>/<id>.mp4
    {train,val}/<id>/<id>_<row>.mp4, <id>_label.csv beside them       2026: a file a clip

Outcomes and subjects are not part of them; `emotion_labels.csv` (video_id,label[,subject]) anywhere
in the tree adds them.
"""

from pathlib import Path

from imigue_lab.data.index import SPLITS, Row, Survey
from imigue_lab.data.layouts.inventory import (
    Inventory,
    add_picture_facts,
    attach_clip_files,
    list_videos,
)
from imigue_lab.data.layouts.tables import read_label_file, read_outcomes
from imigue_lab.errors import some

OUTCOME_FILE = "emotion_labels.csv"


def read_miga(inventory: Inventory) -> Survey:
    """Surveys a challenge tree, whole or in part."""
    survey = Survey(inventory.root, "miga")
    videos = list_videos(inventory, survey)
    take_rest_for_test(videos, survey)
    if OUTCOME_FILE in inventory.tables:
        add_outcomes(videos, inventory.tables[OUTCOME_FILE], survey)
    else:
        survey.absent.append(f"no {OUTCOME_FILE}: give outcomes by `labels`")
    for video_id, row in videos.items():
        if isinstance(path := row["label file"], Path):
            clips, problems = read_label_file(path, hidden=row["split"] == "test")
            survey.problems += problems
            for number, clip in clips.items():
                survey.clips.append(
                    {"clip_id": f"{video_id}_{number}", "video_id": video_id} | clip
                )
    survey.videos = list(videos.values())
    attach_clip_files(videos, survey)
    add_picture_facts(survey.videos, survey)
    tell_absent(survey)
    return survey


def take_rest_for_test(videos: dict[str, Row], survey: Survey) -> None:
    """Folders beside `train` that no split claims are the test split, as in 2026."""
    unsplit = [video_id for video_id, row in videos.items() if row["split"] is None]
    if unsplit and any(row["split"] == "train" for row in videos.values()):
        for video_id in unsplit:
            videos[video_id]["split"] = "test"
        survey.absent.append(f"in no split's folder, taken for test: {some(unsplit)}")


def add_outcomes(videos: dict[str, Row], path: Path, survey: Survey) -> None:
    """Outcome and subject by id; what the file says of videos that are not there is left out."""
    outcomes, subjects, problems = read_outcomes(str(path))
    survey.problems += problems
    for video_id, row in videos.items():
        row["outcome"], row["subject"] = outcomes.get(video_id), subjects.get(video_id)
    if others := sorted(set(outcomes) - set(videos)):
        survey.absent.append(f"{path.name} names videos that are not here: {some(others)}")


def tell_absent(survey: Survey) -> None:
    """One sentence for each thing that some videos lack."""
    if any(row.get("clip video") for row in survey.videos):
        survey.absent.append("no whole videos: a file a clip, so the length of videos is unknown")
        lacks = [row for row in survey.videos if not (row["video"] or row["clip video"])]
    else:
        lacks = [row for row in survey.videos if not row["video"]]
    tell_some("no video file for", lacks, survey)
    poses = [r for r in survey.videos if not (r["keypoints"] or r.get("clip keypoints"))]
    tell_some("no keypoints for", poses, survey)
    labelled = {clip["video_id"] for clip in survey.clips}
    tell_some(
        "no labelled clips of", [r for r in survey.videos if r["video_id"] not in labelled], survey
    )
    tell_some("no split known of", [r for r in survey.videos if r["split"] is None], survey)
    here = {row["split"] for row in survey.videos}
    survey.absent += [f"no {split} split" for split in SPLITS if split not in here]


def tell_some(what: str, rows: list[Row], survey: Survey) -> None:
    if rows:
        survey.absent.append(f"{what} {some(row['video_id'] for row in rows)}")
