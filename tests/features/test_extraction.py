"""Extraction: each video decoded once, items written atomically, one error message a failure.

The videos are three short interviews of grey frames, frame n of brightness 4 n. A simulated encoder
stores the mean brightness of each frame of a window, which identifies the frames that it received.
"""

import errno
import json
import random
import time
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from benchmarks.processes import start
from imigue_lab.data import store as store_module
from imigue_lab.data.layouts.recognise import read_index, survey_root
from imigue_lab.data.store import EncoderStore, Encoding, find_store
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.videos.video import Video, write_video
from imigue_lab.errors import LabError
from imigue_lab.features.extraction import plan_extraction, run_extraction
from imigue_lab.features.flow import Batches


class Brightness:
    """A stream whose network is a mean; it counts its windows."""

    bytes_a_window = 2

    def __init__(self, unit: Literal["video", "clip"] = "video", name="brightness"):
        self.unit = unit
        self.encoding = Encoding(name, f"mean of {unit}")
        self.batches = Batches(lambda examples: examples, 1)
        self.windows = 0

    def start(self, frames):
        return BrightnessOf(self)


class BrightnessOf:
    def __init__(self, stream):
        self.stream = stream
        self.rows = []
        self.waiting = 0

    def add(self, window):
        assert window.number == len(self.rows)
        self.stream.windows += 1
        self.rows.append(window.frames.mean(axis=(1, 2, 3)))

    def features(self):
        rows = np.array(self.rows, np.float32)
        return {self.stream.encoding.encoder: rows}, {"windows": len(rows)}


def grey(frames):
    return [np.full((32, 48, 3), 4 * n, np.uint8) for n in range(frames)]


@pytest.fixture
def interviews(tmp_path):
    """Interviews of 20, 41 and 24 frames: 1, 3 and 2 windows; the second has two clips."""
    root = tmp_path / "interviews"
    (root / "videos").mkdir(parents=True)
    for name, frames in (("anna", 20), ("bert", 41), ("cleo", 24)):
        write_video(root / "videos" / f"{name}.mp4", grey(frames), 25)
    (root / "videos.csv").write_text("video_id,split\nanna,train\nbert,train\ncleo,test\n")
    clips = ["clip_id,video_id,start,end,class", "bert_0,bert,4,35,1", "bert_1,bert,10,12,2"]
    (root / "clips.csv").write_text("\n".join(clips) + "\n")
    return root


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "store")


def run(root, store, streams=None, index=None, **options):
    streams = streams or [Brightness()]
    plan = plan_extraction(index or read_index(root), streams, store)
    return plan, run_extraction(plan, **options)


def stored(root, store, name="brightness"):
    place = find_store(store, read_index(root), name)
    return {path.stem: place.read(path.stem)[name] for path in place.folder.glob("*.safetensors")}


def test_each_window_has_its_frames_and_a_short_last_one_repeats(interviews, store):
    run(interviews, store)
    got = stored(interviews, store)
    assert {video: len(rows) for video, rows in got.items()} == {"anna": 1, "bert": 3, "cleo": 2}
    np.testing.assert_allclose(got["bert"][1], 4 * np.arange(16, 32), atol=2)
    np.testing.assert_allclose(got["bert"][2], 4 * np.array([*range(32, 41), *[40] * 7]), atol=2)


def test_clips_use_segment_centres_in_the_same_pass(interviews, store, monkeypatch):
    decoded = []
    frame = Video.frame
    monkeypatch.setattr(
        Video, "frame", lambda self, i: decoded.append((self.path.stem, i)) or frame(self, i)
    )
    run(interviews, store, [Brightness(), Brightness("clip", "clips")])
    of_bert = [index for name, index in decoded if name == "bert"]
    assert of_bert == list(range(41))
    got = stored(interviews, store, "clips")
    assert got["bert_0"].shape == (1, 16)
    np.testing.assert_allclose(got["bert_0"][0], 4 * np.arange(5, 36, 2), atol=2)
    np.testing.assert_allclose(got["bert_1"][0], 4 * np.repeat([10, 11, 12], [5, 6, 5]), atol=2)


def test_a_second_run_does_nothing_and_reports_it(interviews, store):
    first, report = run(interviews, store)
    assert report.extracted == 3
    assert "3 items of 3 files, 6 windows" in str(first)
    again = Brightness()
    plan, report = run(interviews, store, [again])
    assert "nothing to do: 3 items already extracted" in str(plan)
    assert (report.extracted, again.windows) == (0, 0)


def test_only_a_changed_video_is_extracted_again(interviews, store):
    run(interviews, store)
    write_video(interviews / "videos" / "cleo.mp4", grey(40), 25)
    _, report = run(interviews, store)
    assert report.extracted == 1
    assert len(stored(interviews, store)["cleo"]) == 3


def test_processes_share_the_files_with_the_result_of_a_single_one(interviews, store, tmp_path):
    alone = str(tmp_path / "alone")
    run(interviews, alone)
    index = read_index(interviews)
    plan = plan_extraction(index, [Brightness()], store)
    made = [run_extraction(plan, process=(rank, 2)).extracted for rank in range(2)]
    assert made == [2, 1]
    together, single = stored(interviews, store), stored(interviews, alone)
    assert together.keys() == single.keys()
    assert all(np.array_equal(together[video], single[video]) for video in single)


@pytest.mark.parametrize("first", [0, 1])
def test_a_process_that_plans_after_another_has_finished_extracts_only_its_files(
    interviews, store, first
):
    made, todo = {}, {}
    for rank in (first, 1 - first):
        plan = plan_extraction(read_index(interviews), [Brightness()], store)
        todo[rank], made[rank] = len(plan.jobs), run_extraction(plan, process=(rank, 2)).extracted
    assert made == {0: 2, 1: 1}
    assert todo == {first: 3, 1 - first: 3 - made[first]}
    assert stored(interviews, store).keys() == {"anna", "bert", "cleo"}


def test_the_manifest_includes_items_that_another_process_adds_meanwhile(
    interviews, store, monkeypatch
):
    index = read_index(interviews)
    plan, other = (plan_extraction(index, [Brightness()], store) for _ in range(2))
    read = EncoderStore.manifest

    def manifest(place):
        monkeypatch.setattr(EncoderStore, "manifest", read)
        seen = read(place)
        run_extraction(other, process=(1, 2))
        return seen

    monkeypatch.setattr(EncoderStore, "manifest", manifest)
    run_extraction(plan, process=(0, 2))
    table = pd.read_csv(plan.stores[0].folder / "manifest.csv")
    assert [*table.item] == ["anna", "bert", "cleo"]


def test_the_manifest_lists_sources_and_failures(interviews, store):
    cut = interviews / "videos" / "cleo.mp4"
    cut.write_bytes(cut.read_bytes()[:200])
    plan = plan_extraction(survey(interviews), [Brightness()], store)
    report = run_extraction(plan)
    table = pd.read_csv(plan.stores[0].folder / "manifest.csv").set_index("item")
    assert table.state.to_dict() == {"anna": "extracted", "bert": "extracted", "cleo": "failed"}
    assert table.source["bert"] == "bert.mp4"
    assert table.source_size["bert"] == (interviews / "videos" / "bert.mp4").stat().st_size
    assert table.windows["bert"] == 3
    assert "cleo.mp4" in table.why["cleo"]
    assert [*report.failed.values()] == [table.why["cleo"]]
    write_video(cut, grey(24), 25)
    run(interviews, store)
    assert (
        find_store(store, read_index(interviews), "brightness")
        .manifest()
        .state.eq("extracted")
        .all()
    )


def survey(root):
    return survey_root(root).to_index()


def truncated_copy(path):
    """An interrupted copy of a file with its frame table at the front."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


FAULTS = {
    "not a video": (lambda path: path.write_bytes(b"not a video"), "not a readable video"),
    "an empty file": (lambda path: path.write_bytes(b""), "bert"),
    "one pixel": (lambda path: odd_video(path, (1, 1), 40), "got 1 x 1"),
    "no frame": (lambda path: odd_video(path, (32, 32), 0), "bert"),
    "too few frames": (
        lambda path: odd_video(path, (32, 32), 5),
        "window, got 5",
    ),
    "a truncated copy": (truncated_copy, "expected 40 frames by the header, got"),
}


def odd_video(path, size, frames):
    """A video that H.264 cannot store: of any size, or without frames."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "bgr0"
        container.start_encoding()
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(np.zeros((*size, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unreadable_file_is_one_message_and_the_others_are_extracted(interviews, store, fault):
    damage, message = FAULTS[fault]
    damage(interviews / "videos" / "bert.mp4")
    plan = plan_extraction(survey(interviews), [Brightness(), Brightness(name="twin")], store)
    report = run_extraction(plan)
    assert set(report.failed) == {(place.encoding.name, "bert") for place in plan.stores}
    (why,) = set(report.failed.values())
    assert message in why
    assert "\n" not in why
    assert report.extracted == 4


def test_a_clip_past_the_end_fails_alone(interviews, store):
    with (interviews / "clips.csv").open("a") as table:
        table.write("bert_2,bert,38,44,3\n")
    index = survey_root(interviews).to_index()  # as the command reads it; training refuses it
    _, report = run(interviews, store, [Brightness(), Brightness("clip", "clips")], index)
    assert [item for _, item in report.failed] == ["bert_2"]
    assert report.extracted == 5


def test_a_full_disk_fails_one_item_and_the_others_are_stored(interviews, store, monkeypatch):
    whole = store_module.write_atomically

    def full_for_bert(path, content):
        if path.name.startswith("bert"):
            raise LabError(f"{path}: the disk is full")
        whole(path, content)

    monkeypatch.setattr(store_module, "write_atomically", full_for_bert)
    _, report = run(interviews, store)
    assert [item for _, item in report.failed] == ["bert"]
    assert "the disk is full" in str(report)
    assert sorted(stored(interviews, store)) == ["anna", "cleo"]


def test_a_read_only_store_stops_before_decoding(interviews, store, monkeypatch):
    def refuse(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    index = read_index(interviews)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(LabError, match=r"encoding\.json: no permission to write here"):
        plan_extraction(index, [Brightness()], store)


def test_items_without_a_file_are_named_in_the_plan(interviews, store):
    (interviews / "videos" / "anna.mp4").unlink()
    plan = plan_extraction(survey(interviews), [Brightness()], store)
    assert "without a video file: anna" in str(plan)
    assert len(plan.jobs) == 2


def test_the_planned_size_is_correct(interviews, store):
    stream = Brightness()
    stream.bytes_a_window = 16 * 4
    plan = plan_extraction(read_index(interviews), [stream], store)
    run_extraction(plan)
    assert plan.size == sum(rows.nbytes for rows in stored(interviews, store).values())


def test_the_encoding_file_describes_the_encoder(interviews, store):
    plan, _ = run(interviews, store)
    stored_encoding = json.loads((plan.stores[0].folder / "encoding.json").read_text())
    assert stored_encoding["recipe"] == "mean of video"


def begin(root, store, encoders):
    """Starts an extraction in a process of its own."""
    return start(["extract", "--data", str(root), "--store", store, "--encoders", encoders])


def finish(process):
    process.join()
    assert process.exitcode == 0


def items_of(store):
    """All stored items by path: the bytes of their arrays, and their metadata."""
    items = {}
    for path in Path(store).rglob("[!.]*.safetensors"):
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name).tobytes() for name in file.keys()}
            items[path.relative_to(store)] = arrays, file.metadata()
    return items


@pytest.mark.parametrize(
    ("encoders", "size", "length"),
    [("context-tiny,face-tiny", 8, 48), ("keypoints,face-blendshapes", 4, 16)],
    ids=["tiny", "shipped"],
)
def test_a_run_killed_three_times_resumes_to_the_same_store(
    tmp_path, encoders, size, length, request
):
    if encoders.startswith("keypoints"):
        request.getfixturevalue("networks")
    root = tmp_path / "interviews"
    index = make_data(root, SyntheticSpec(videos=size, layout="plain"))
    for path in index.videos.video:  # faces are searched for in every frame
        with Video(path) as film:
            ((_, frames),) = film.clips({"first": range(length)})
        write_video(path, frames, 25)
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    finish(begin(root, whole, encoders))
    rng = random.Random(0)
    for _ in range(3):
        before, process = len(items_of(killed)), begin(root, killed, encoders)
        while len(items_of(killed)) == before and process.is_alive():
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        assert process.is_alive(), "it ended before it was killed: generate more interviews"
        process.kill()
        process.join()
    finish(begin(root, killed, encoders))
    assert len(items_of(whole)) == 2 * size
    assert items_of(killed) == items_of(whole)
