"""The trees of the MiGA challenges, 2023 to 2026: one folder per video, with its own label file.

    imigue_data_phase1/datasets/imigue_skeleton_{train,validate}/<id>/<id>_{label,light_hand}.csv
    imigue_data_phase2/imigue_skeleton_test/<id>/...
    imigue_rgb_phase1/{train_data,validation_data}/<id>/<id>.mp4      since 2024
    imigue_rgb_phase2/<id>/<id>.mp4
    {train,val}/<id>/<id>_<row>.mp4 and <id>_label.csv                2026: one file per clip

They do not include outcomes and subjects; `emotion_labels.csv` (video_id,label[,subject]) anywhere
in the tree adds them.
"""

from pathlib import Path

from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.inventory import Inventory, finish, list_videos
from imigue_lab.data.layouts.tables import read_label_file, read_outcomes, restore_zeros
from imigue_lab.errors import some

OUTCOME_FILE = "emotion_labels.csv"


def read_miga(inventory: Inventory) -> Survey:
    """Surveys a challenge tree, complete or partial."""
    survey = Survey(inventory.root, "miga")
    videos = list_videos(inventory, survey)
    unsplit = [video_id for video_id, row in videos.items() if row["split"] is None]
    if unsplit and any(row["split"] == "train" for row in videos.values()):  # as in 2026
        for video_id in unsplit:
            videos[video_id]["split"] = "test"
        survey.absent.append(f"not in the folder of a split, used as test: {some(unsplit)}")
    if OUTCOME_FILE in inventory.tables:
        outcomes, subjects, problems = read_outcomes(str(inventory.tables[OUTCOME_FILE]))
        survey.problems += problems
        if fit := restore_zeros(outcomes, videos):
            survey.absent.append(f"{OUTCOME_FILE} lacks leading zeros, added to {some(fit)}")
        outcomes = {fit.get(name, name): value for name, value in outcomes.items()}
        subjects = {fit.get(name, name): value for name, value in subjects.items()}
        for video_id, row in videos.items():
            row["outcome"], row["subject"] = outcomes.get(video_id), subjects.get(video_id)
        if others := sorted(set(outcomes) - set(videos)):
            survey.absent.append(f"{OUTCOME_FILE} names videos that do not exist: {some(others)}")
    else:
        survey.absent.append(f"no {OUTCOME_FILE}: set outcomes by `labels`")
    for video_id, row in videos.items():
        if isinstance(path := row["label file"], Path):
            clips, problems = read_label_file(path, row["split"] == "test", survey.vocabulary)
            survey.problems += problems
            for number, clip in clips.items():
                ids = {"clip_id": f"{video_id}_{number}", "video_id": video_id}
                survey.clips.append(ids | clip)
    finish(videos, survey)
    return survey
