"""Where everything that is made lies, and writes that are either whole or not there."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from imigue_lab.errors import LabError

FULL = ("the disk is full", "free some space and run again")
REFUSED = ("may not be written here", "name a folder of your own, or ask for the right")
UNWRITABLE = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EACCES: REFUSED,
    errno.EPERM: REFUSED,
    errno.EROFS: REFUSED,
    errno.ENOTDIR: ("lies under a file", "name a folder"),
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
    """A temporary path beside `path` that takes its place when the block ends without error.

    A reader sees the old file or the new one, never half of one; a full disk, or a place where
    nothing may be written, is said in a sentence.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        what, advice = UNWRITABLE[error.errno]
        raise LabError(f"{path}: {what}; nothing was changed, {advice}") from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a whole file, or leaves what was there."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def short_hash(*parts: object) -> str:
    """8 hex digits that change when any part's text changes; bytes are taken as they are."""
    digest = blake2b(digest_size=4)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
