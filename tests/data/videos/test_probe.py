"""Video headers are read once, and again when a file has changed."""

import json
import shutil

import pytest

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.videos import video as probe_module
from imigue_lab.data.workspace import short_hash, workspace
from imigue_lab.errors import DataError


@pytest.fixture
def filmed(tmp_path):
    return make_data(tmp_path / "tree", SyntheticSpec(videos=4, size="full"))


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that are opened."""
    names = []
    probe = probe_module.probe

    def recorded(path):
        names.append(path.name)
        return probe(path)

    monkeypatch.setattr(probe_module, "probe", recorded)
    return names


def cache_of(index):
    return workspace() / "probes" / f"{index.root.name}-{short_hash(index.root)}.json"


def test_a_second_index_opens_no_video(filmed, opened):
    again = read_index(filmed.root)
    assert opened == []
    assert again.videos.equals(filmed.videos)


def test_only_a_changed_video_is_opened_again(filmed, opened):
    first, second = filmed.videos.video[:2]
    assert filmed.videos.frames[0] != filmed.videos.frames[1]
    shutil.copy(second, first)
    assert read_index(filmed.root).videos.frames[0] == filmed.videos.frames[1]
    assert opened == ["0001.mp4"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"version": 1}', ""])
def test_a_damaged_cache_is_rebuilt(filmed, opened, damage):
    cache_of(filmed).write_text(damage)
    assert read_index(filmed.root).videos.equals(filmed.videos)
    assert len(opened) == 4
    assert len(json.loads(cache_of(filmed).read_text())["videos"]) == 4


def test_a_truncated_video_is_refused_each_time(filmed):
    video = filmed.videos.video[2]
    video.write_bytes(video.read_bytes()[:500])
    for _ in range(2):
        with pytest.raises(DataError, match=r"0003\.mp4: not a readable video .* copy it again"):
            read_index(filmed.root)


def test_a_deleted_video_is_absent(filmed):
    filmed.videos.video[1].unlink()
    index = read_index(filmed.root)
    assert index.videos.video[1] is None
    assert index.videos.frames.isna().tolist() == [False, True, False, False]
    assert index.absent == ["no video file for 0002"]
