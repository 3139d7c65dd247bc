"""The trees of the MiGA challenges, 2023 to 2026: one folder per video, with its own label file.

    imigue_data_phase1/datasets/imigue_skeleton_{train,validate}/<id>/<id>_{label,light_hand}.csv
    imigue_data_phase2/imigue_skeleton_test/<id>/...
    imigue_rgb_phase1/{train_data,validation_data}/<id>/<id>.mp4      since 2024
    imigue_rgb_phase2/<id>/<id>.mp4
    {train,val}/<id>/<id>_<row>.mp4 and <id>_label.csv                2026: one file per clip

They do not include outcomes and subjects; `emotion_labels.csv` (video_id,label[,subject]) anywhere
in the tree adds them.
"""

from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.inventory import Inventory, finish, list_videos
from imigue_lab.data.layouts.tables import add_label_file, read_values

OUTCOME_FILE = "emotion_labels.csv"


def read_miga(inventory: Inventory) -> Survey:
    """Surveys a challenge tree, complete or partial."""
    survey = Survey(inventory.root, "miga")
    videos = list_videos(inventory, survey)
    unsplit = [video_id for video_id, row in videos.items() if row["split"] is None]
    if unsplit and any(row["split"] == "train" for row in videos.values()):  # as in 2026
        for video_id in unsplit:
            videos[video_id]["split"] = "test"
        survey.note("not in the folder of a split, used as test:", unsplit)
    if OUTCOME_FILE in inventory.tables:
        table = read_values(str(inventory.tables[OUTCOME_FILE]), "label", survey, videos)
        for video_id in videos.keys() & table.index:
            own = table.loc[video_id]
            videos[video_id] |= {"outcome": own.label, "subject": own.get("subject") or None}
        others = sorted({*table.index} - {*videos})
        survey.note(f"{OUTCOME_FILE} names videos that do not exist:", others)
    else:
        survey.absent.append(f"no {OUTCOME_FILE}: set outcomes by `labels`")
    for row in videos.values():
        if row["label file"]:
            add_label_file(row["label file"], row, survey)
    finish(videos, survey)
    return survey
