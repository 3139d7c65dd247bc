"""Collected features: rows in order, one face a window, zeros where there is none."""

import numpy as np
import pytest
import torch

from imigue_lab.features.detectors import Faces
from imigue_lab.features.encoders import FaceEncoder, VideoEncoder
from imigue_lab.features.streams import ClipStream, ContextStream, FaceStream, Window
from imigue_lab.models.weights import load_mvit, load_swinface

CPU = torch.device("cpu")
FRAMES = 41  # windows of 16, 16, and 9 with the last frame repeated seven times


@pytest.fixture(scope="module")
def video():
    return VideoEncoder(*load_mvit("", "tiny"), CPU, "float32")


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (FRAMES, 96, 128, 3), np.uint8)


def windows(frames):
    for number, first in enumerate(range(0, len(frames), 16)):
        indices = [min(first + k, len(frames) - 1) for k in range(16)]
        yield Window(number, frames[indices], indices)


def collect(stream, frames):
    collector = stream.start(len(frames))
    for window in windows(frames):
        collector.add(window)
    stream.batches.flush()
    assert collector.waiting == 0
    return collector.features()


def test_context_has_one_row_a_window_for_any_batch_size(video, frames):
    one, facts = collect(ContextStream(video, "context-tiny", 1), frames)
    many, _ = collect(ContextStream(video, "context-tiny", 8), frames)
    assert one["context"].shape == (3, video.model.dim)
    assert one["context"].dtype == np.float16
    assert facts == {"frames": 41, "windows": 3, "frames_dropped": 0}
    np.testing.assert_allclose(one["context"], many["context"], atol=2e-3)
    first = video.pooled(video.prepare(frames[:16])[None])[0].numpy()
    np.testing.assert_allclose(one["context"][0], first, atol=2e-3)


@pytest.mark.parametrize("grid", [0, 1])
def test_a_clip_is_a_token_map_or_its_mean(video, frames, grid):
    stream = ClipStream(video, "rgb-tiny", 2, grid)
    features, _ = collect(stream, frames[:16])
    places = video.places(video.prepare(frames[:16])[None])[0].numpy()
    wanted = places.mean(axis=(1, 2), keepdims=True) if grid else places
    np.testing.assert_allclose(features["rgb"], wanted, atol=2e-3)
    assert features["rgb"].nbytes == stream.bytes_a_window


class Brightness(FaceEncoder):
    """A face encoder whose embedding is the crop's mean colour."""

    def __init__(self):
        self.side, self.recipe, self.note = 8, "brightness", ""
        self.dim = 3

    def embed(self, faces):
        """NaN for a dark face, as of an encoder that finds none in the crop."""
        means = faces.float().mean(dim=(2, 3))
        return torch.where(means > 3, means, torch.nan)


class FixedDetector:
    """A detector with preset faces, by the frame's number in its first pixel."""

    recipe, has_points = "fixed", False

    def __init__(self, boxes_of):
        self.boxes_of = boxes_of

    def __call__(self, frame):
        boxes = np.array(self.boxes_of(int(frame[0, 0, 0])), np.float32).reshape(-1, 4)
        return Faces(boxes, np.ones(len(boxes), np.float32))


def numbered(brightness):
    """Frames whose first pixel is their number, with a face of that brightness in the middle."""
    pictures = np.zeros((FRAMES, 96, 128, 3), np.uint8)
    for number in range(FRAMES):
        pictures[number, 20:70, 30:90] = brightness(number)
        pictures[number, 0, 0] = number
    return pictures


MIDDLE = [44, 30, 74, 60]


def test_the_mean_is_over_detected_faces_and_a_window_without_any_is_zero():
    found = [n for n in range(FRAMES) if (n < 16 and n % 2 == 0) or n >= 32]
    detector = FixedDetector(lambda n: [MIDDLE] if n in found else [])
    stream = FaceStream(Brightness(), detector, "face", batch=4, threads=2)
    features, facts = collect(stream, numbered(lambda n: 50 + 2 * n))
    np.testing.assert_allclose(features["face_share"], [0.5, 0, 1])
    np.testing.assert_allclose(features["face"][0], 50 + 2 * np.mean(range(0, 16, 2)), atol=0.1)
    assert not features["face"][1].any()
    last = [*range(32, 41), *[40] * 7]  # the repeated frame counts each time
    np.testing.assert_allclose(features["face"][2], 50 + 2 * np.mean(last), rtol=2e-3)
    assert np.isnan(features["face_boxes"][1]).all()
    np.testing.assert_allclose(features["face_boxes"][0], [*MIDDLE, 1])
    assert (facts["windows_with_face"], facts["frames_chosen"]) == (2, len(found))


def test_frames_without_values_are_left_out_of_the_mean_of_a_window():
    stream = FaceStream(Brightness(), FixedDetector(lambda n: [MIDDLE]), "face", 4, threads=1)
    features, _ = collect(stream, numbered(lambda n: 100 if n % 2 and n < 16 else 2))
    np.testing.assert_allclose(features["face"], [[100] * 3, [0] * 3, [0] * 3], atol=0.1)


def test_a_video_without_any_face_is_all_zero():
    stream = FaceStream(Brightness(), FixedDetector(lambda n: []), "face", batch=4, threads=1)
    features, facts = collect(stream, numbered(lambda n: 9))
    assert not features["face"].any()
    assert not features["face_share"].any()
    assert facts["windows_with_face"] == 0


def test_of_two_faces_only_the_interviewees_is_used():
    beside = [2, 40, 26, 64]  # smaller, at the edge, from the first frame on
    detector = FixedDetector(lambda n: [beside, MIDDLE] if n > 2 else [beside])
    stream = FaceStream(Brightness(), detector, "face", batch=4, threads=1)
    features, _ = collect(stream, numbered(lambda n: 100))
    np.testing.assert_allclose(features["face"][1], 100, atol=1)
    np.testing.assert_allclose(features["face_boxes"][20, :4], MIDDLE)


def test_the_recipe_contains_everything_that_affects_the_result():
    recipe = FaceStream(Brightness(), FixedDetector(list), "face", 1, 1).encoding.recipe
    assert all(part in recipe for part in ("brightness", "fixed", "1.2", "tracks"))


def test_the_tiny_face_encoder_uses_the_same_stream():
    encoder = FaceEncoder(*load_swinface("", "tiny"), CPU, "float32")
    stream = FaceStream(encoder, FixedDetector(lambda n: [MIDDLE]), "face-tiny", batch=4, threads=1)
    features, _ = collect(stream, numbered(lambda n: 5 * n))
    assert features["face"].shape == (3, encoder.model.dim)
    assert features["face"].any(axis=1).all()
