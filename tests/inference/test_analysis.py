"""Analysis of one video reproduces the predictions of training and reports what is missing."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.segments import with_windows
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.store import open_features
from imigue_lab.data.videos.video import Video, write_video
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError, RunError
from imigue_lab.features import shipped
from imigue_lab.features.poses import fit_layout, read_user_recording
from imigue_lab.inference.analysis import analyse, apply_corrections, export
from imigue_lab.inference.keypoints import far_from_face, prepare_video
from imigue_lab.inference.segments import count_dropped
from imigue_lab.inference.windows import AnalyseSettings, open_encoder, score_windows
from imigue_lab.results.open import stored_settings
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.recognition.encoder import sees_joints
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import read_choice, train_recognition
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.scores import probabilities
from imigue_lab.training.session import open_device
from imigue_lab.views.attention.maps import read_attention
from imigue_lab.views.gates.withholding import choose_interview
from imigue_lab.views.timeline import look, over_time
from tests.test_notebooks import ANALYSE, outputs_of, papermill
from tests.views.texts import text_of

IMIGUE = builtin("imigue")


@pytest.fixture(scope="module", autouse=True)
def nothing_fetched():
    """The film and the networks of `imigue-lab weights` are not used, wherever they are."""

    def absent(name):
        raise DataError(f"{name}: not fetched")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "network_file", absent)
        shipped.open_network.cache_clear()
        yield


@pytest.fixture(scope="module")
def analysis():
    """A long synthetic interview, by the demo runs on tiny encoders."""
    return analyse(AnalyseSettings())


@pytest.fixture(scope="module")
def index(analysis):
    """The interviews that its gesture run was trained on."""
    return read_index(stored_settings(analysis.gesture_run, "gesture")["data"])


@pytest.fixture(scope="module")
def blind(analysis):
    """A test interview of the emotion run, without its keypoints."""
    videos = read_index(stored_settings(analysis.emotion.run, "emotion")["data"]).videos
    video = videos.video[videos.split == "test"].iloc[0]
    return analyse(AnalyseSettings(video=str(video), threshold=0.01))


def test_notebook_09_shows_its_figures_and_nothing_on_red(analysis, tmp_path):
    write_video(tmp_path / "anna.mp4", np.zeros((50, 64, 64, 3), np.uint8), 25)
    runs = {"gesture_run": analysis.gesture_run, "emotion_run": analysis.emotion.run}
    words = [word for name, run in runs.items() for word in ("-p", name, run.folder.name)]
    done = papermill("-p", "video", "anna.mp4", *words, folder=tmp_path, notebook=ANALYSE)
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    assert len(figures) == 2
    assert "anna_emotion.csv" in text and "clips.csv" not in text


def test_the_emotion_is_what_the_run_predicted_of_that_interview(blind):
    table = blind.emotion.run.predictions().set_index("video_id")
    expected = table.loc[blind.own.video_id]
    assert expected.split == "test"
    assert abs(blind.prediction.probability - expected.probability) < 1e-4
    assert blind.prediction.windows_with_face == expected.windows_with_face


def test_without_keypoints_gestures_are_based_on_rgb_with_a_remark(blind):
    assert set(blind.windows.based_on) == {"rgb"}
    assert any("gestures are based on the RGB branch alone" in r for r in blind.remarks)
    assert len(blind.segments) and blind.threshold == 0.01


def test_each_detected_gesture_has_its_attention(analysis, blind):
    run, system = analysis.attending
    clips = run.index.clips
    assert len(clips) == len(analysis.segments) > 0
    assert clips.start.tolist() == analysis.segments.start.tolist()
    for clip_id in clips.clip_id:
        shown = read_attention(run, system, clip_id)
        assert shown.on_places().mean() == pytest.approx(1, abs=1e-3)
        assert shown.pose_from_rgb.sum(axis=2) == pytest.approx(1, abs=1e-3)
        assert np.isfinite(shown.places[shown.seen]).all()  # joints lie on the picture
    assert blind.attending is None  # without keypoints no modality attends to another


def test_a_window_that_equals_a_clip_gets_the_prediction_of_that_clip(analysis, index):
    run = analysis.gesture_run
    own = index.clips[index.clips.video_id == analysis.own.video_id]
    ranges = own[["start", "end"]].reset_index(drop=True)
    one = with_windows(analysis.own.index, {analysis.own.video_id: ranges})
    rgb = open_encoder(run, "rgb", AnalyseSettings(), open_device("cpu").torch_device)
    points = {analysis.own.video_id: analysis.own.keypoints}
    found = score_windows(run, one, points, rgb)
    expected = run.predictions().set_index("clip_id").loc[own.clip_id]
    assert found[["start", "end"]].to_numpy().tolist() == ranges.to_numpy().tolist()
    np.testing.assert_allclose(probabilities(found), probabilities(expected), atol=1e-4)
    assert (found.label.to_numpy() == expected.predicted.to_numpy()).all()


def test_windows_cover_the_video_and_segments_are_confident_and_disjoint(analysis):
    windows, found = analysis.windows, analysis.segments
    assert (windows.start.min(), windows.end.max()) == (0, analysis.own.frames - 1)
    np.testing.assert_allclose(probabilities(windows).sum(axis=1), 1, atol=1e-5)
    assert (windows.confidence == probabilities(windows).max(axis=1)).all()
    assert set(windows.based_on) == {"both"}
    assert len(found) and (found.confidence >= analysis.threshold).all()
    assert (found.start.to_numpy()[1:] > found.end.to_numpy()[:-1]).all()


def test_the_remarks_name_synthetic_training_data_and_untrained_encoders(analysis):
    printed = " | ".join(analysis.remarks)
    assert "this interview is synthetic" in printed and "trained on synthetic interviews" in printed
    assert "untrained weights: rgb-tiny, context-tiny, face-tiny" in printed
    assert "validation interviews: F1" in printed


def test_without_a_face_the_emotion_is_based_on_context_with_a_remark(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), dtype=np.uint8)
    write_video(tmp_path / "wall 1.mp4", np.repeat(noise, 40, axis=0), 25)
    found = analyse(AnalyseSettings(video=str(tmp_path / "wall 1.mp4")))
    assert found.prediction.based_on == "context"
    assert "no face was found: the emotion estimate is based on context alone" in found.remarks
    assert found.own.video_id == "wall_1" and 0 < found.prediction.probability < 1


@pytest.mark.shared
def test_a_real_street_without_an_interviewee_is_analysed_with_remarks(shared):
    found = analyse(AnalyseSettings(video=str(shared / "data" / "video" / "bikes.mp4")))
    assert found.prediction.based_on == "context" and found.prediction.windows_with_face == 0
    assert set(found.windows.based_on) == {"rgb"}
    printed = " | ".join(found.remarks)
    assert "no keypoints were given" in printed and "no face was found" in printed


@pytest.fixture
def half_a_second(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (45, 64, 96, 3), dtype=np.uint8)
    write_video(tmp_path / "anna.mp4", pictures, 30)
    return tmp_path / "anna.mp4"


def test_a_video_at_another_rate_is_resampled_with_its_keypoints(half_a_second):
    points = np.full((45, 22, 3), 0.5, np.float32)
    points[..., 0] = np.arange(1, 46)[:, None]
    np.save(half_a_second.with_suffix(".npy"), points)
    keypoints = str(half_a_second.with_suffix(".npy"))
    own = prepare_video(half_a_second, keypoints, LAYOUTS["imigue22"], 25.0, IMIGUE)
    assert (own.fps, own.frames) == (25, 38)
    assert int(own.index.videos.frames.iloc[0]) == 38
    assert own.keypoints[:4, 0, 0].tolist() == [1, 2, 4, 5]
    assert any(
        "has 30 frames per second, the training data 25: analysed as a resampled copy" in remark
        for remark in own.remarks
    )
    same = prepare_video(half_a_second, keypoints, LAYOUTS["imigue22"], 30.0, IMIGUE)
    assert (same.fps, same.frames) == (30, 45)
    assert not any("copy" in remark for remark in same.remarks)
    assert same.index.root != own.index.root


def test_a_film_at_a_variable_rate_is_copied_and_exported_by_its_stamps(tmp_path):
    stamps = np.cumsum([0, *[100] * 20, *[33] * 39])
    levels = np.arange(60, dtype=np.uint8) * 4
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for level, stamp in zip(levels, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level), format="rgb24")
            frame.pts, frame.time_base = int(stamp), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    own = prepare_video(
        tmp_path / "phone.mp4", "", LAYOUTS["imigue22"], 18.0, IMIGUE
    )  # its own rate on average
    assert any("on average" in remark and "a resampled copy" in remark for remark in own.remarks)
    with Video(own.index.videos.video.iloc[0]) as copy:
        shown = [round(copy.frame(number).mean() / 4) for number in range(len(copy))]
    moments = (own.times[:-1] + 1 / 36) * 1000
    expected = np.searchsorted(stamps, moments, side="right") - 1
    np.testing.assert_allclose(shown, expected, atol=1)  # of compression
    assert own.times[36] == pytest.approx(2.0) and own.times[-1] == pytest.approx(3.3, abs=0.06)


def test_keypoints_read_through_the_tree_equal_those_of_the_file(analysis, index):
    source = index.videos.set_index("video_id").keypoints[analysis.own.video_id]
    expected, _ = fit_layout(read_user_recording(source), LAYOUTS["imigue22"])
    np.testing.assert_array_equal(analysis.own.keypoints, expected[0])


def test_a_run_on_features_that_cannot_be_extracted_is_refused_by_name(analysis, trained):
    with pytest.raises(RunError, match=r"context features of 'synthetic-context', which cannot be"):
        analyse(AnalyseSettings(emotion_run=trained[0].folder.name))
    with pytest.raises(RunError, match="is a run of emotion; name one of gesture"):
        analyse(AnalyseSettings(gesture_run=trained[0].folder.name))


@pytest.fixture(scope="module")
def recogniser(index):
    """A small run on joints and on features of a baseline, of the interviews of the analysis."""
    small = {"data": str(index.root), "epochs": 1, "frames": 8, "name": "windows"}
    train_baseline(BaselineSettings.from_arguments(small))
    given = {"inputs": "both", "encoder_run": "windows", "step": 16, "model": "frames"}
    given |= {"epochs": 12, "width": 16, "depth": 3, "lr": 1e-2, "window": 256, "name": "found"}
    return train_recognition(RecognitionSettings.from_arguments(given | {"data": str(index.root)}))


def test_a_recogniser_finds_the_segments_that_it_predicted_of_that_interview(analysis, recogniser):
    found = analyse(AnalyseSettings(recognition_run="found"))
    table = recogniser.predictions()
    expected = table[table.kept & (table.video_id == analysis.own.video_id)]
    assert len(expected) and found.windows is None
    columns = ["start", "end", "label", "confidence"]
    expected = expected[columns].sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(found.segments[columns], expected, atol=1e-4, check_dtype=False)
    assert found.curves.shape == (found.own.frames, 32)
    assert found.threshold == read_choice(recogniser).threshold
    assert any("found by found, has a confidence of" in remark for remark in found.remarks)
    assert len(found.attending[0].index.clips) == len(found.segments)
    assert pd.read_csv(export(found)["csv"]).start.tolist() == found.segments.start.tolist()


def test_without_keypoints_windows_find_the_gestures_with_a_remark(recogniser, blind):
    given = {"video": str(blind.own.source), "threshold": 0.01}
    found = analyse(AnalyseSettings(**given, recognition_run=recogniser.folder.name))
    pd.testing.assert_frame_equal(found.segments, blind.segments)
    assert "found needs keypoints: windows find the gestures instead" in found.remarks


def test_a_recogniser_on_features_alone_needs_keypoints_if_its_encoder_does(
    analysis, recogniser, blind
):
    given = stored_settings(recogniser, "recognition") | {"inputs": "run", "name": "features-alone"}
    run = train_recognition(RecognitionSettings.from_arguments(given))
    own = run.predictions().query("video_id == @analysis.own.video_id").confidence
    threshold = float(own.median())  # whatever the short training has learned
    found = analyse(AnalyseSettings(recognition_run="features-alone", threshold=threshold))
    assert found.windows is None and 0 < len(found.segments) <= (own >= threshold).sum()
    assert found.curves.shape == (found.own.frames, 32)
    video = AnalyseSettings(
        video=str(blind.own.source), threshold=0.01, recognition_run="features-alone"
    )
    without = analyse(video)
    pd.testing.assert_frame_equal(without.segments, blind.segments)
    assert "features-alone needs keypoints: windows find the gestures instead" in without.remarks
    encoder = find_run("windows")
    kept = encoder.settings()
    encoder.write_json("settings.json", kept | {"settings": kept["settings"] | {"model": "tsm"}})
    assert sees_joints(recogniser) and not sees_joints(run)
    encoder.write_json("settings.json", kept)


def test_a_recogniser_that_needs_other_data_is_refused(recogniser, blind):
    shutil.copytree(recogniser.folder, recogniser.folder.with_name("other"))
    checkpoint = recogniser.read_checkpoint("best") | {"keypoints": "mmgesture36"}
    with pytest.MonkeyPatch.context() as patch:
        real = Run.read_checkpoint
        patch.setattr(
            Run,
            "read_checkpoint",
            lambda run, name: checkpoint if run.folder.name == "other" else real(run, name),
        )
        with pytest.raises(RunError, match="expected keypoints of gesture_run, imigue22, got mmg"):
            analyse(AnalyseSettings(recognition_run="other"))
    with pytest.raises(RunError, match="is a run of gesture; name one of recognition"):
        analyse(AnalyseSettings(recognition_run=blind.gesture_run.folder.name))


def test_an_unusable_video_is_reported(tmp_path):
    with pytest.raises(DataError, match="no such video"):
        prepare_video(tmp_path / "none.mp4", "", LAYOUTS["imigue22"], 25.0, IMIGUE)
    write_video(tmp_path / "short.mp4", np.zeros((7, 64, 64, 3), np.uint8), 25)
    with pytest.raises(
        DataError,
        match=r"expected at least 8 frames .* got 7 frames at 25 per second",
    ):
        prepare_video(tmp_path / "short.mp4", "", LAYOUTS["imigue22"], 25.0, IMIGUE)


def test_exports_agree_and_without_a_correction_there_are_no_clips(analysis):
    files = export(analysis)
    table = pd.read_csv(files["csv"])
    content = json.loads(files["json"].read_text())
    assert table["class"].tolist() == [IMIGUE.classes[label] for label in analysis.segments.label]
    assert [row["start_s"] for row in content["segments"]] == table.start_s.tolist()
    assert content["based_on"] == "both" and content["remarks"] == analysis.remarks
    printed = pd.read_csv(files["emotion"], dtype={"video_id": str})
    assert printed.video_id.tolist() == [analysis.own.video_id]
    assert content["probability"].keys() == {"lose", "win"}
    assert printed.p_win[0] == pytest.approx(content["probability"]["win"])
    assert analysis.outcome == "win" and analysis.probability == analysis.prediction.probability
    corrected = apply_corrections(analysis, files["eaf"])
    pd.testing.assert_frame_equal(corrected.segments, analysis.segments, check_dtype=False)
    assert not corrected.remarks and not (analysis.folder / "clips.csv").exists()


def test_outcomes_of_any_name_are_estimated_and_exported(analysis, tmp_path):
    stored = stored_settings(analysis.emotion.run, "emotion")
    videos = read_index(stored["data"]).videos
    moods = [("calm", "tense", "glad")[n % 3] for n in range(len(videos))]
    table = pd.DataFrame({"video_id": videos.video_id, "label": moods})
    table.to_csv(tmp_path / "moods.csv", index=False)
    own = stored | {"labels": str(tmp_path / "moods.csv"), "epochs": 1, "name": "moods"}
    train_emotion(EmotionSettings.from_arguments(own))
    found = analyse(AnalyseSettings(emotion_run="moods", threshold=0.01))
    content = json.loads(export(found)["json"].read_text())
    assert list(content["probability"]) == ["calm", "glad", "tense"]
    assert content["probability"][found.outcome] == max(content["probability"].values())
    shown = choose_interview(found.emotion, found.own.video_id)
    assert shown.gates.outcome == found.outcome
    assert shown.gates.probability == pytest.approx(found.probability, abs=1e-4)
    figure = over_time(found, shown.gates.running)
    assert f"probability of {found.outcome} {found.probability:.2f}" in text_of(figure)
    printed = export(found)["emotion"].read_text()
    assert printed.startswith("video_id,p_calm,p_glad,p_tense,based_on,windows")


def test_an_edited_annotation_file_is_kept_and_becomes_clips_and_the_changes_are_named(analysis):
    eaf = export(analysis)["eaf"]
    first = IMIGUE.classes[analysis.segments.label.iloc[0]]
    other = IMIGUE.classes[(analysis.segments.label.iloc[0] + 1) % 32]
    as_found = eaf.read_text()
    eaf.write_text(as_found.replace(f"<ANNOTATION_VALUE>{first}", f"<ANNOTATION_VALUE>{other}", 1))
    changed = eaf.read_text()
    assert changed != as_found
    assert export(analysis)["eaf"].read_text() == changed
    corrected = apply_corrections(analysis, eaf)
    assert IMIGUE.classes[corrected.segments.label.iloc[0]] == other
    assert corrected.remarks[-1].startswith("corrected: 1 relabelled (")
    assert (
        f"{first} at " in corrected.remarks[-1]
        and f", now {IMIGUE.label(IMIGUE.classes.index(other))} at" in corrected.remarks[-1]
    )
    clips = read_index(analysis.folder).clips
    assert clips.label.tolist() == corrected.segments.label.tolist()
    eaf.write_text(as_found)  # put back
    (remark,) = apply_corrections(analysis, eaf).remarks
    assert remark == "no corrected gesture is left: an earlier clips.csv was deleted"
    assert not (analysis.folder / "clips.csv").exists()
    eaf.unlink()
    assert export(analysis)["eaf"].exists()


def test_decisions_in_the_notebook_become_clips(analysis):
    eaf, folder = export(analysis)["eaf"], analysis.folder
    shown = choose_interview(analysis.emotion, analysis.own.video_id)
    view = look(analysis, shown.gates)
    (row,) = view.children[-1].children
    clips = view.children[0].children[0].children[0].children[0]  # of the attention player
    confirm, choice, relabel, reject, state = row.children
    assert confirm.disabled and state.value == "select a clip whose class is known"
    names = [name for _, name in clips.options][1:]
    assert len(names) == len(analysis.segments) > 1
    clips.value = names[0]
    reject.click()
    clips.value = names[1]
    other = next(c for c in IMIGUE.classes if IMIGUE.place(c) != analysis.segments.label[1])
    choice.value = other
    relabel.click()
    assert state.value.startswith(f"relabel {other} {row.who} ")
    corrected = apply_corrections(analysis, eaf)
    assert corrected.remarks[-2] == f"2 decisions by {row.who} in corrections.csv"
    assert corrected.remarks[-1].startswith("corrected: 1 relabelled (")
    assert "1 removed (" in corrected.remarks[-1]
    assert corrected.segments.label.tolist() == [IMIGUE.place(other), *analysis.segments.label[2:]]
    assert len(read_index(folder).clips) == len(analysis.segments) - 1
    for name in names:
        clips.value = name
        reject.click()
    assert apply_corrections(analysis, eaf).segments.empty and not (folder / "clips.csv").exists()
    reject.click()
    clips.value = names[0]
    confirm.click()
    apply_corrections(analysis, eaf)
    (folder / "corrections.csv").unlink()
    assert "no corrected gesture is left" in apply_corrections(analysis, eaf).remarks[-1]
    assert not (folder / "clips.csv").exists()


def test_dropped_gestures_are_counted(analysis, blind):
    for own in (analysis, blind):
        assert count_dropped(own.curves, own.own.times, own.threshold) in own.remarks
    times, curves = np.arange(101) / 25, np.full((100, 2), 0.1)
    curves[:30, 0], curves[30:35, 1], curves[40:60, 1], curves[60:, 0] = 0.9, 0.8, 0.6, 0.3
    remark = "not shown as gestures: 2 stretches of one class below the threshold, 1 above it"
    assert count_dropped(curves, times, 0.7) == f"{remark} shorter than 0.5 s"


def test_keypoints_far_from_the_face_are_reported(analysis):
    layout, own = LAYOUTS["imigue22"], analysis.own
    face = open_features(analysis.emotion.settings.face, "", own.index)
    boxes = face.read(own.video_id)["face_boxes"]
    assert not far_from_face(own, layout, boxes)
    shifted = own.keypoints + np.float32([200, 0, 0]) * (own.keypoints[..., 2:] > 0)
    (remark,) = far_from_face(replace(own, keypoints=shifted), layout, boxes)
    frames = remark.split(" in ")[1].split()[0]
    assert int(frames) > own.frames / 2 and "another person" in remark
