"""The folder of all outputs, atomic writes into it, arrays in files, and progress bars."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from imigue_lab.errors import LabError, unreadable

TITLES: ContextVar[tuple[str, ...]] = ContextVar("titles", default=())  # of this and later steps
FULL = ("the disk is full", "free some space and run again")
DENIED = ("no permission to write here", "choose a folder of your own, or ask for permission")
UNWRITABLE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), FULL),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), DENIED),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), ("its parent is a file", "choose a folder")),
    errno.EISDIR: ("a folder is in its place", "delete or rename it"),
    errno.ELOOP: ("it is a link, which is not followed", "delete the link"),
    errno.ENAMETOOLONG: ("the name is too long for a file", "shorten this id or name"),
}


def workspace() -> Path:
    """The absolute folder of all outputs.

    ``IMIGUE_LAB_HOME``, else ``workspace/`` of the checkout, else ``~/.imigue_lab``.
    """
    home = os.environ.get("IMIGUE_LAB_HOME")
    if home:
        return Path(home).expanduser().resolve()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").exists():
        return checkout / "workspace"
    return Path.home() / ".imigue_lab"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` that replaces it if the block ends without error.

    A reader sees the old file or the new one, never a partial one. Raises LabError if the disk is
    full, or the place is not writable.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name with no content
        os.replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> Exception:
    """A sentence for the usual reasons; the error itself for others."""
    if error.errno not in UNWRITABLE:
        return error
    what, advice = UNWRITABLE[error.errno]
    return LabError(f"{path}: {what}; nothing was changed, {advice}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time in the block, by a lock file that is created.

    Raises LabError where the place is not writable.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a complete file, or leaves the old one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_array(path: Path, array: np.ndarray) -> None:
    """The same of an ``.npy``."""
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def map_array(path: Path) -> np.ndarray:
    """The array of an ``.npy``, mapped; DataError if it is none."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an .npz archive")
        return array
    except Exception as error:  # any error of its header parser
        raise unreadable(path, "is not an array", error, "save it with numpy.save") from None


def short_hash(*parts: object) -> str:
    """8 hex digits that change when the text of any part does; bytes are hashed unchanged."""
    digest = blake2b(digest_size=4)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def progress(*values: object, desc: str = "", **options: object) -> tqdm:
    """A bar of tqdm; in a task of several steps it has a title, and disappears when it is full."""
    title = TITLES.get()[:1]
    options |= {"desc": " ".join([*title, desc]), "leave": not title}
    return tqdm(*values, dynamic_ncols=True, **options)
