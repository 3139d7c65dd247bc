"""Encoders of expressions: named values, an open mouth in a real film, no values without a face."""

import pytest
import torch

from imigue_lab.data.videos.video import Video
from imigue_lab.features.alignment import face_crop
from imigue_lab.features.encoders import BLENDSHAPES, POINTS, ExpressionEncoder


def test_there_are_52_names_and_146_points_of_the_mesh():
    assert len(set(BLENDSHAPES)) == 52 and BLENDSHAPES.index("jawOpen") == 25
    assert len(POINTS) == 146 and sorted(set(POINTS)) == POINTS and POINTS[-1] == 477


@pytest.mark.shared
def test_an_open_mouth_is_named_and_a_black_picture_has_no_values(networks, centerface, shared):
    encoder = ExpressionEncoder("face-blendshapes")
    opened = {}
    with Video(shared / "data" / "video" / "carphone_pristine.mp4") as video:
        for number in (108, 119):
            frame = video.frame(number)
            crop = face_crop(frame, centerface(frame), 0, encoder.side, encoder.margin)
            values = encoder.embed(torch.from_numpy(crop.transpose(2, 0, 1).copy())[None])
            opened[number] = values[0, BLENDSHAPES.index("jawOpen")].item()
    assert values.shape == (1, 52) and opened[108] > 0.3 > 0.1 > opened[119]
    black = torch.zeros(1, 3, encoder.side, encoder.side, dtype=torch.uint8)
    assert encoder.embed(black).isnan().all()


def test_the_expression_of_a_face_is_a_vector_of_128(networks, interview, centerface):
    encoder = ExpressionEncoder("face-expression")
    frame, _ = interview
    crop = face_crop(frame, centerface(frame), 0, encoder.side, encoder.margin)
    vectors = encoder.embed(torch.from_numpy(crop.transpose(2, 0, 1).copy()).expand(2, -1, -1, -1))
    assert vectors.shape == (2, 128) and vectors.isfinite().all()
    assert torch.equal(vectors[0], vectors[1]) and vectors.std() > 0.1
