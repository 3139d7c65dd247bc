"""Atomic writes: complete or not at all, also when the disk is full."""

import errno
from pathlib import Path

import pytest

from imigue_lab.data.workspace import atomic_path, locked, short_hash, workspace, write_atomically
from imigue_lab.errors import LabError


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "table.csv"
    write_atomically(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_full_disk_is_reported_and_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    write_atomically(path, b"old")

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LabError, match=r"weights\.safetensors: the disk is full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_workspace_is_absolute_and_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMIGUE_LAB_HOME", "here")
    assert workspace() == tmp_path / "here"
    monkeypatch.delenv("IMIGUE_LAB_HOME")
    assert workspace() == Path(__file__).resolve().parents[2] / "workspace"


def test_the_hash_depends_on_the_boundaries_of_parts():
    assert short_hash("ab", "c") != short_hash("a", "bc")
    assert short_hash("ab") == short_hash(b"ab")


def test_a_lock_that_is_a_link_or_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "other").write_text("")
    (tmp_path / ".lock").symlink_to(tmp_path / "other")
    complaint = r"\.lock: it is a link, .*, delete the link"
    with pytest.raises(LabError, match=complaint), locked(tmp_path / ".lock"):
        pass
    (tmp_path / "file").write_text("")
    complaint = "its parent is a file; nothing was changed"
    with pytest.raises(LabError, match=complaint), locked(tmp_path / "file" / ".lock"):
        pass
    with locked(tmp_path / "new" / ".lock"):
        assert (tmp_path / "new" / ".lock").exists()
