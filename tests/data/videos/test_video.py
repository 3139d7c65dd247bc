"""Frames by exact index, windows, and damaged files.

Every frame of the synthetic videos encodes its number in twelve black and white blocks, which
survive compression: a frame that is off by one is read as another number.
"""

import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from imigue_lab.data.checks.root import inspect_video
from imigue_lab.data.videos.frame_table import Decoder
from imigue_lab.data.videos.video import (
    Video,
    probe,
    segment_centres,
    window_frames,
    write_video,
)
from imigue_lab.errors import DataError

BLOCK = 16  # pixels
TICK = Fraction(1, 1000)  # seconds


def paint(number):
    """64 x 48 pixels: bit b of the number is block b, row by row."""
    bits = np.array([(number >> bit) & 1 for bit in range(12)], dtype=np.uint8).reshape(3, 4)
    blocks = np.kron(bits, np.ones((BLOCK, BLOCK), np.uint8)) * 255
    return np.stack([blocks] * 3, axis=2)


def read(picture):
    """The number painted into a picture."""
    bits = picture[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK, 1].ravel() > 127
    return sum(1 << bit for bit, on in enumerate(bits) if on)


def constant(frames):
    return [33 * number for number in range(frames)]


def variable(frames):
    """Milliseconds: 1 to 200 from frame to frame."""
    return np.random.default_rng(0).integers(1, 201, frames).cumsum().tolist()


def film(path, times, codec="libx264", options=None, gop=12, rotation=0, size=64):
    """Writes painted frames shown at the given milliseconds, with B-frames."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = size, size * 3 // 4, "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = 3
        stream.codec_context.time_base = TICK
        stream.codec_context.thread_count = 1
        if rotation:
            stream.set_display_rotation(rotation)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(paint(number), format="rgb24")
            frame.pts, frame.time_base = time, TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


KINDS = {
    "constant.mp4": {"times": constant(100)},
    "variable.mp4": {"times": variable(100)},
    "late_start.mp4": {"times": [5000 + t for t in variable(100)]},
    "one_keyframe.mp4": {"times": constant(100), "gop": 1000},
    "variable.mkv": {"times": variable(100)},
    "transport.ts": {"times": constant(100)},
    "stampless.avi": {"times": list(range(100)), "codec": "mpeg4"},
}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return {name: film(folder / name, **how) for name, how in KINDS.items()}


@pytest.fixture(params=KINDS)
def path(request, films):
    return films[request.param]


def test_every_frame_is_found_by_its_index_going_forward(path):
    with Video(path) as video:
        assert [read(video.frame(i)) for i in range(len(video))] == list(range(100))


def test_every_frame_is_found_in_random_order_and_again(path):
    order = np.random.default_rng(1).integers(0, 100, 250).tolist()
    with Video(path) as video:
        assert [read(video.frame(i)) for i in order] == order


def test_frames_are_upright_rgb_of_the_files_size(films):
    with Video(films["variable.mp4"]) as video:
        picture = video.frame(77)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - paint(77)).mean() < 10


def test_the_test_videos_store_frames_out_of_presentation_order(films):
    with av.open(str(films["constant.mp4"])) as container:
        stored = [p.pts for p in container.demux(video=0) if p.size]
    assert stored != sorted(stored)


def test_overlapping_clips_are_read_in_one_pass(path):
    wanted = {
        "long": range(10, 61),
        "inside": range(20, 31),
        "edge": range(60, 100),
        "one": range(1),
        "same": range(20, 31),
        "centres": segment_centres(5, 12),
        "backwards": [40, 3, 40],
    }
    with Video(path) as video:
        got = {name: [read(frame) for frame in clip] for name, clip in video.clips(wanted)}
    assert got == {name: list(indices) for name, indices in wanted.items()}


def test_a_pass_over_overlapping_clips_decodes_no_frame_twice(films, monkeypatch):
    decoded = []
    with Video(films["one_keyframe.mp4"]) as video:
        go_to = video.decoder.go_to
        monkeypatch.setattr(video.decoder, "go_to", lambda i: decoded.append(i) or go_to(i))
        monkeypatch.setattr(video.decoder, "seek", lambda key: pytest.fail("seek"))
        wanted = {f"clip{start}": range(start, start + 30) for start in range(0, 70, 7)}
        assert len(dict(video.clips(wanted))) == 10
    assert decoded == list(range(93))


def test_a_clip_is_yielded_as_soon_as_its_last_frame_is_decoded(films):
    wanted = {"whole": range(100), "early": range(3, 6), "late": range(90, 95)}
    with Video(films["constant.mp4"]) as video:
        assert [name for name, _ in video.clips(wanted)] == ["early", "late", "whole"]


def test_a_distant_frame_is_reached_by_a_seek(films):
    with Video(films["variable.mp4"]) as video:
        video.frame(97)
        assert not video.decoder.from_start
        assert video.table.key_before(97) > 80


def test_frames_without_dependents_are_not_decoded_on_the_way_to_a_frame(films, monkeypatch):
    times = []

    def decoded(decoder, from_key):
        for frame in whole(decoder, from_key):
            times.append(frame.pts)
            yield frame

    whole = Decoder.decoded
    monkeypatch.setattr(Decoder, "decoded", decoded)
    with Video(films["one_keyframe.mp4"]) as video:
        assert read(video.frame(90)) == 90
    assert 20 < len(times) < 70  # of 91, with three B-frames in a row


def test_windows_cover_the_video_and_the_last_one_repeats_its_last_frame(tmp_path):
    path = film(tmp_path / "w.mp4", variable(40))
    with Video(path) as video:
        wanted = {f"w{n}": frames for n, frames in enumerate(window_frames(len(video)))}
        windows = [[read(frame) for frame in window] for _, window in video.clips(wanted)]
    assert windows == [list(range(16)), list(range(16, 32)), [*range(32, 40), *[39] * 8]]


def test_the_short_side_is_resized(films):
    with Video(films["constant.mp4"], short_side=24) as video:
        picture = video.frame(41)
    assert picture.shape == (24, 32, 3)
    assert read(picture.repeat(2, axis=0).repeat(2, axis=1)) == 41


def test_a_rotated_video_is_returned_upright(tmp_path):
    path = film(tmp_path / "turned.mp4", constant(20), rotation=90)
    with Video(path) as video:
        picture = video.frame(13)
    assert picture.shape == (64, 48, 3)
    assert read(np.rot90(picture, -1)) == 13


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    peaks = []
    for frames in (100, 1000):
        path = film(tmp_path / f"{frames}.mp4", constant(frames))
        with Video(path) as video:
            wanted = {f"c{s}": range(s, s + 20) for s in range(0, frames - 20, 10)}
            tracemalloc.start()
            windows = {f"w{n}": indices for n, indices in enumerate(window_frames(frames))}
            for _ in video.clips(windows):
                pass
            for _ in video.clips(wanted):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    whole = 1000 * paint(0).nbytes
    assert peaks[1] < 1.2 * peaks[0] < whole / 10


def count(path):
    """Frames, frames in the header, and those that do not decode."""
    with Video(path) as video:
        return len(video), video.table.header, video.damaged()


def test_an_undamaged_file_has_the_number_of_frames_in_its_header(films):
    assert count(films["variable.mp4"]) == (100, 100, [])
    assert count(films["variable.mkv"]) == (100, 0, [])


def cut(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


@pytest.mark.parametrize("share", [0.5, 0.6, 0.73, 0.9, 0.97])
def test_a_truncated_file_is_correct_up_to_its_end_and_has_fewer_frames(tmp_path, share):
    path = film(tmp_path / "cut.mp4", constant(200), options={"movflags": "faststart"})
    cut(path, share)
    frames, header, damaged = count(path)
    assert (header, damaged) == (200, [])
    assert 200 * (2 * share - 1) - 10 < frames < 200  # nearly half of the file is its index
    with Video(path) as video:
        assert [read(video.frame(i)) for i in range(len(video))] == list(range(frames))
        with pytest.raises(DataError, match=r"expected frame 199, got \d+ .* 200 in the header"):
            video.frame(199)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.8])
def test_a_file_truncated_within_its_index_is_refused(tmp_path, share):
    path = cut(film(tmp_path / "cut.mp4", constant(50)), share)
    for reader in (probe, count, Video):
        with pytest.raises(DataError, match=r"cut\.mp4: .* video.*; copy it again"):
            reader(path)


def test_an_incorrect_header_is_reported(tmp_path):
    path = film(tmp_path / "lie.avi", list(range(30)), codec="mpeg4")
    raw = bytearray(path.read_bytes())
    length = raw.index(b"strh") + 8 + 32  # dwLength of the stream header
    raw[length : length + 4] = (50).to_bytes(4, "little")
    path.write_bytes(raw)
    assert count(path)[:2] == (30, 50)
    with Video(path) as video, pytest.raises(DataError, match=r"got 30 .* 50 in the header"):
        video.frame(30)


def test_damaged_frames_are_named_and_shift_no_other(tmp_path):
    path = film(tmp_path / "damaged.mp4", constant(100), options={"movflags": "faststart"})
    raw = bytearray(path.read_bytes())
    place = len(raw) * 3 // 4
    raw[place : place + 60] = b"\x55" * 60
    path.write_bytes(raw)
    frames, _, damaged = count(path)
    assert frames == 100
    assert 0 < len(damaged) < 30
    with Video(path) as video:
        for index in range(100):
            if index in damaged:
                with pytest.raises(DataError, match=f"frame {index} is damaged"):
                    video.frame(index)
            else:
                assert read(video.frame(index)) == index


@pytest.mark.parametrize("index", [-1, 100, 5000])
def test_a_frame_outside_the_file_is_refused(films, index):
    with Video(films["constant.mp4"]) as video:
        complaint = rf"constant\.mp4: expected frame {index}, got 100 frames \(0 to 99\)"
        with pytest.raises(DataError, match=complaint):
            video.frame(index)
        with pytest.raises(DataError, match=complaint):
            next(video.clips({"a": range(3), "b": [5, index]}))


def test_a_clip_without_frames_is_refused_by_name(films):
    with (
        Video(films["constant.mp4"]) as video,
        pytest.raises(DataError, match="clip 7 contains no"),
    ):
        next(video.clips({"7": range(9, 9)}))


@pytest.mark.parametrize(
    ("first", "second", "frames"),
    [("attached_pic", "default", 9), ("captions", "default", 9), ("default", "captions", 4)],
)
def test_covers_are_skipped_and_the_default_stream_is_read(tmp_path, first, second, frames):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=30) for _ in range(2)]
        for stream, kind in zip(streams, (first, second), strict=True):
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.disposition = Disposition[kind]
        for stream, count in zip(streams, (4, 9), strict=True):
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(paint(number), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    with Video(path) as video:
        assert len(video) == frames


def test_a_file_that_is_not_a_video_is_refused(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("not a film")
    with pytest.raises(DataError, match="not a readable video"):
        Video(text)
    with pytest.raises(DataError, match=r"absent\.mp4: not a readable video \(No such file"):
        Video(tmp_path / "absent.mp4")


def test_a_video_of_an_unknown_codec_is_refused(tmp_path):
    path = film(tmp_path / "odd.mkv", constant(5))
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_XXXXX/ISO/AVC"))
    for reader in (probe, Video):
        with pytest.raises(DataError, match="unknown codec"):
            reader(path)


def test_an_audio_file_is_refused(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    for reader in (probe, Video):
        with pytest.raises(DataError, match=r"sound\.wav: contains no video stream"):
            reader(path)


def test_written_videos_are_read_back_frame_by_frame(tmp_path):
    path = tmp_path / "ours.mp4"
    write_video(path, (paint(n) for n in range(30)), fps=25)
    info = probe(path)
    assert (info.fps, info.width, info.height, info.frames) == (25, 64, 48, 30)
    with Video(path) as video:
        assert [read(video.frame(i)) for i in (29, 0, 15)] == [29, 0, 15]


REAL = {
    "carphone_pristine": (176, 144, 120, 29.97),
    "speaker_on_stage": (640, 360, 275, 29.97),
    "signer": (540, 720, 58, 29.917),
    "street_crowd": (1920, 1080, 105, 25),
    "bikes": (640, 272, 250, 25),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_real_recordings_have_their_frames_and_rates(shared, name):
    path = shared / "data" / "video" / f"{name}.mp4"
    width, height, frames, fps = REAL[name]
    info = probe(path)
    assert (info.width, info.height, info.frames) == (width, height, frames)
    assert info.fps == pytest.approx(fps, abs=1e-3)
    assert count(path) == (frames, frames, [])


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_random_access_to_real_recordings_equals_sequential_decoding(shared, name):
    path = shared / "data" / "video" / f"{name}.mp4"
    with av.open(str(path)) as container:
        sequential = [
            hash(frame.to_ndarray(format="rgb24").tobytes()) for frame in container.decode(video=0)
        ]
    order = np.random.default_rng(2).permutation(len(sequential))[:12].tolist()
    with Video(path) as video:
        for index in order:
            assert hash(video.frame(index).tobytes()) == sequential[index]
        clips = {"a": range(20, 40), "b": range(30, 50)}
        for clip_id, clip in video.clips(clips):
            assert [hash(f.tobytes()) for f in clip] == [sequential[i] for i in clips[clip_id]]


def copy_from(source, target, start, first=0):
    """Copies packets from the keyframe before `start` seconds on, as `ffmpeg -ss -c copy` does."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy, zero = new.add_stream_from_template(stream), int(start / stream.time_base)
        old.seek(zero, stream=stream)
        for number, packet in enumerate(old.demux(stream)):
            if number < first or packet.pts is None or packet.dts is None:
                continue
            packet.pts, packet.dts, packet.stream = packet.pts - zero, packet.dts - zero, copy
            new.mux(packet)
    return target


@pytest.mark.parametrize(("first", "number"), [(0, 33), (1, 36)])
def test_a_cut_without_reencoding_is_whole_from_its_first_picture_that_decodes(
    tmp_path, first, number
):
    whole = film(tmp_path / "whole.mp4", [40 * n for n in range(100)])
    path = copy_from(whole, tmp_path / "cut.mp4", Fraction(13, 10), first)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 100 - number  # packets that are not shown
    with Video(path) as video:
        assert [read(video.frame(n)) for n in range(len(video))] == list(range(number, 100))
        assert video.table.header == len(video) == probe(path).frames
        assert video.table.seconds[[0, -1]] == pytest.approx([number / 25 - 1.32, 2.68], abs=0.001)
    facts = inspect_video(path, decode=True, heads={})
    assert (facts.frames, facts.fault) == (100 - number, "")
    assert probe(path).fps == 25


def test_leading_packets_that_never_decode_are_no_frames_of_a_stream(tmp_path):
    whole = film(tmp_path / "whole.ts", [40 * n for n in range(100)])
    path = copy_from(whole, tmp_path / "cut.mkv", Fraction(13, 10), 1)
    with Video(path) as video:
        assert [read(video.frame(n)) for n in (0, 1, len(video) - 1)] == [36, 37, 99]
        assert np.diff(video.table.seconds) == pytest.approx(0.04, abs=0.0011)


@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv", "late_start.mp4"])
def test_the_seconds_of_frames_are_their_time_stamps(films, name):
    with Video(films[name]) as video:
        expected = np.array(KINDS[name]["times"]) / 1000
        assert video.table.seconds[:-1] == pytest.approx(expected, abs=0.0011)
        assert video.table.seconds[-1] > video.table.seconds[-2]
        between = (expected[0], expected[-1])
        assert probe(films[name]).fps == pytest.approx(100 / np.ptp(between), rel=0.03)


def test_a_transport_stream_starts_at_second_0_and_a_file_without_stamps_has_its_rate(films):
    with Video(films["transport.ts"]) as video:
        assert video.table.seconds[:3] == pytest.approx([0, 0.033, 0.066], abs=0.001)
    with Video(films["stampless.avi"]) as video:
        assert np.ptp(video.table.seconds) == pytest.approx(100 / probe(video.path).fps)


def test_a_live_recording_has_the_rate_of_its_stamps_and_not_of_its_header(tmp_path):
    path = film(tmp_path / "live.webm", [40 * n for n in range(50)], codec="libvpx")
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 30
    info = probe(path)
    assert (info.fps, info.frames) == (25, 50)


def test_a_thumbnail_before_the_film_is_not_the_film(tmp_path):
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        small = container.add_stream("mjpeg", rate=25)
        small.width, small.height, small.pix_fmt = 40, 40, "yuvj420p"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(small.encode(av.VideoFrame(40, 40, "yuvj420p")))
        container.mux(small.encode())
        for number in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(paint(number))))
        container.mux(stream.encode())
    info = probe(tmp_path / "a.mov")
    assert (info.width, info.height, info.frames) == (64, 48, 20)
    with Video(tmp_path / "a.mov") as video:
        assert read(video.frame(7)) == 7


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_the_size_is_that_of_the_upright_picture(tmp_path, rotation):
    path = film(tmp_path / "phone.mp4", constant(10), rotation=rotation)
    info = probe(path)
    with Video(path) as video:
        assert video.frame(3).shape == (info.height, info.width, 3)
    assert (info.width, info.height) == ((64, 48) if rotation == 180 else (48, 64))


def test_a_size_that_changes_in_mid_stream_is_one_sentence(tmp_path):
    path = tmp_path / "call.ts"
    parts = [film(tmp_path / "a.ts", constant(10)), film(tmp_path / "b.ts", constant(10), size=32)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    complaint = r"call\.ts: expected pictures of 64 x 48 pixels, got 32 x 24 from frame \d+ on"
    with Video(path) as video, pytest.raises(DataError, match=complaint):
        list(video.clips({"all": range(len(video))}))
    with pytest.raises(DataError, match=complaint):
        count(path)
    assert "32 x 24" in inspect_video(path, decode=True, heads={}).fault
