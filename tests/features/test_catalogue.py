"""Encoders by name: each is opened once, and its name is part of what is stored."""

import numpy as np
import pytest
import torch

from imigue_lab.errors import SettingsError
from imigue_lab.features.catalogue import CATALOGUE, build_streams, parse_names
from imigue_lab.features.detectors import Faces

CPU = torch.device("cpu")


def test_a_size_stands_for_its_three_encoders_and_names_may_be_mixed():
    assert parse_names("tiny") == ["context-tiny", "face-tiny", "rgb-tiny"]
    assert parse_names("full") == ["context-mvitv2s", "face-swinface", "rgb-mvitv2s"]
    assert parse_names("face-swinface, context-tiny") == ["face-swinface", "context-tiny"]
    assert parse_names("tiny,face-tiny") == parse_names("tiny")


@pytest.mark.parametrize("words", ["", "tiny,", "mvit", "tiny,face"])
def test_an_unknown_name_is_refused_with_the_known_ones(words):
    with pytest.raises(SettingsError) as stop:
        parse_names(words)
    assert all(name in str(stop.value) for name in CATALOGUE)


def test_context_and_rgb_share_one_model():
    context, face, rgb = build_streams("tiny", CPU)
    assert context.encoder is rgb.encoder
    assert [stream.encoding.encoder for stream in (context, face, rgb)] == parse_names("tiny")
    assert {stream.encoding.note for stream in (context, face, rgb)} == {"untrained weights"}
    assert (context.unit, face.unit, rgb.unit) == ("video", "video", "clip")


def test_settings_that_change_the_result_change_the_fingerprint():
    def names(**changes):
        return {s.encoding.encoder: s.encoding.name for s in build_streams("tiny", CPU, **changes)}

    plain, mean = names(), names(grid=1)
    assert [name for name in plain if plain[name] != mean[name]] == ["rgb-tiny"]
    assert not set(plain.values()) & set(names(precision="bf16").values())
    assert names() == plain


def test_streams_of_faces_share_one_detector_that_sees_each_frame_once(interview):
    (face,) = build_streams("face-tiny", CPU)
    calls = []
    shared, frame = face.detector, interview[0]
    none = Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    shared.detector = lambda frame: calls.append(frame) or none
    other = frame.copy()
    other[0] = 255
    assert [shared(each) for each in (frame, other, frame.copy())] == [none] * 3
    assert len(calls) == 2
    for number in range(40):
        other[1, 1] = number
        shared(other)
    assert len(shared.found) == 32


def test_shipped_encoders_are_known_by_name():
    names = ["context-lite0x2", "context-lite0x2-blank", "face-blendshapes", "face-expression"]
    assert parse_names(",".join([*names, "keypoints"])) == [*names, "keypoints"]
    plain, blank = build_streams(",".join(names[:2]), CPU)
    assert "faces filled with 127, centerface" in blank.encoding.recipe
    assert "faces" not in plain.encoding.recipe
