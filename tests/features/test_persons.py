"""The interviewee's keypoints: chosen by the face, from the first frame to the last, and stored."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imigue_lab.app import main
from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.source import open_data
from imigue_lab.data.store import create_store, open_features
from imigue_lab.data.videos.video import Video, write_video
from imigue_lab.errors import DataError
from imigue_lab.features import streams
from imigue_lab.features.detectors import Faces, open_detector
from imigue_lab.features.landmarks import Networks
from imigue_lab.features.poses import find_poses
from imigue_lab.features.streams import Followed, KeypointStream

JOINTS = LAYOUTS["mediapipe65"].joints


class Body:
    """In place of a followed person: its joints are at the face that it was last given."""

    def __init__(self, networks):
        self.nose = complex(np.inf)

    def see(self, picture, face):
        if face is not None:
            self.nose = complex(face[0] + face[2], face[1] + face[3]) / 2
        return np.full((65, 3), [self.nose.real, self.nose.imag, 1], np.float32)


@pytest.fixture
def stream(monkeypatch):
    """A stream with a detector of one face, which reads its place from the frame's first pixel."""
    monkeypatch.setattr(Networks, "__init__", lambda self: setattr(self, "recipe", "fake"))
    monkeypatch.setattr(streams, "Person", Body)

    class Detector:
        recipe, has_points, calls = "first pixel", False, 0

        def __call__(self, frame):
            self.calls += 1
            x = float(frame[0, 0, 0])
            boxes = np.array([[x, 10, x + 30, 40]] if x else np.zeros((0, 4)), np.float32)
            return Faces(boxes.reshape(-1, 4), np.ones(len(boxes), np.float32))

    return KeypointStream(Detector(), "keypoints")


def film(*places):
    """Frames of one picture with a face at x; a negative one is of another camera."""
    scene = np.random.default_rng(0).integers(0, 256, (2, 48, 160, 3), np.uint8)
    for x in places:
        frame = scene[int(x < 0)].copy()
        frame[0, 0, 0] = abs(x)
        yield frame


def follow(stream, *places):
    followed = Followed(stream, len(places))
    for number, frame in enumerate(film(*places)):
        followed.see(number, frame)
    keypoints, facts = followed.features()
    return keypoints["keypoints"], facts


def test_a_person_is_followed_to_the_last_frame_with_faces_of_all(stream):
    keypoints, facts = follow(stream, *[60] * 37)
    assert keypoints.shape == (37, 65, 3) and (keypoints[..., 0] == 75).all()
    assert stream.detector.calls == 37
    assert facts["frames_with_body"] == 37 and facts["layout"] == "mediapipe65"


def test_a_turned_away_person_is_still_followed_and_another_camera_is_not(stream):
    keypoints, _ = follow(stream, *[60] * 32, *[0] * 32, *[-90] * 3, *[60] * 13)
    seen = (keypoints[..., 2] > 0).all(axis=1)
    assert seen[:64].all() and seen[67:].all()
    assert (keypoints[seen][:, 0, 0] == 75).all()


def test_a_video_without_a_lasting_face_has_no_keypoints(stream):
    keypoints, facts = follow(stream, *[0] * 40, 60, *[0] * 23)
    assert not keypoints.any() and facts["frames_with_body"] == 0


@pytest.fixture
def root(tmp_path):
    """Two videos without keypoints, and the index."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("anna", "ben"):
        write_video(folder / f"{name}.mp4", film(*[60] * 20), 25)
    return folder


def extract(store, stream, root, ids=("anna",)):
    index = open_data(str(root))
    kept = create_store(store, index, stream.encoding)
    points = np.full((20, 65, 3), [30, 20, 0.9], np.float32)
    for name in ids:
        facts = {"layout": "mediapipe65"}
        kept.write(name, {"keypoints": points}, root / f"{name}.mp4", facts)
    return kept, points


def test_the_index_and_the_check_read_extracted_keypoints(stream, root, tmp_path, capsys):
    store = str(tmp_path / "store")
    kept, points = extract(store, stream, root)
    videos = open_data(str(root), store=store).videos.set_index("video_id")
    assert videos.keypoints["ben"] is None
    recording = read_recording(videos.keypoints["anna"])
    assert recording.layout.name == "mediapipe65"
    assert_array_equal(recording.skeleton[0], points)
    main(["check", str(root), "--store", store])
    assert "unreadable" not in capsys.readouterr().out
    kept.path("anna").write_bytes(b"half")
    with pytest.raises(DataError, match=r"is damaged \(.*; delete it and extract it again"):
        read_recording(kept.path("anna"))
    (kept.folder.parent / "keypoints-00000000").mkdir()
    with pytest.raises(DataError, match="expected one version of extracted keypoints, got"):
        open_data(str(root), store=store)


@pytest.mark.shared
def test_a_real_signer_is_found_in_every_frame_with_the_raised_hand(shared, networks):
    found = find_poses(shared / "data" / "video" / "signer.mp4", "mediapipe", LAYOUTS["imigue22"])
    assert found[1][0].endswith("which found the interviewee in 58 of 58 frames")
    joints = LAYOUTS["imigue22"].joints
    seen = found[0][..., 2] > 0
    for joint in ("nose", "neck", "right_shoulder", "left_shoulder", "right_elbow"):
        assert seen[:, joints.index(joint)].mean() > 0.9
    tip, eye = (found[0][20, joints.index(f"right_{part}")] for part in ("middle_tip", "eye"))
    assert tip[2] > 0.5 and tip[1] < eye[1]


@pytest.mark.shared
def test_in_a_crowd_the_body_is_of_the_person_whose_face_is_chosen(shared, networks, tmp_path):
    (tmp_path / "crowd.mp4").symlink_to(shared / "data" / "video" / "street_crowd.mp4")
    store = str(tmp_path / "store")
    words = ["extract", "--data", str(tmp_path), "--encoders", "keypoints,face-expression"]
    main([*words, "--store", store])
    index = open_data(str(tmp_path), store=store)
    boxes = open_features("face-expression", store, index).read("crowd")["face_boxes"]
    nose = read_recording(index.videos.keypoints[0]).skeleton[0, :, JOINTS.index("nose")]
    both = ~np.isnan(boxes[:, 0]) & (nose[:, 2] > 0)
    assert both.sum() > 20
    assert ((boxes[both, 0] <= nose[both, 0]) & (nose[both, 0] <= boxes[both, 2])).all()


@pytest.mark.shared
def test_on_bikes_nobody_is_taken_for_an_interviewee(shared, networks):
    stream = KeypointStream(open_detector("centerface"), "keypoints")
    with Video(shared / "data" / "video" / "bikes.mp4") as video:
        followed = Followed(stream, len(video))
        for number in range(len(video)):
            followed.see(number, video.frame(number))
    assert not followed.features()[0]["keypoints"].any()


@pytest.mark.shared
def test_keypoints_are_extracted_by_the_command_and_not_twice(shared, networks, tmp_path, capsys):
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "phone.mp4").symlink_to(shared / "data" / "video" / "carphone_pristine.mp4")
    words = ["extract", "--data", str(folder), "--encoders", "keypoints,context-lite0x2"]
    words += ["--store", str(tmp_path / "store")]
    main(words)
    assert "extracted 2 items: 16 windows" in capsys.readouterr().out
    video = open_data(str(folder), store=str(tmp_path / "store")).videos.iloc[0]
    skeleton = read_recording(video.keypoints).skeleton[0]
    assert skeleton.shape == (120, 65, 3)
    assert (skeleton[:, JOINTS.index("left_shoulder"), 2] > 0.5).mean() > 0.9
    main(words)
    assert "nothing to do: 2 items already extracted" in capsys.readouterr().out
