"""Errors that stop a run: one sentence with the place, what is wrong, and what to do."""

import errno
import re
from collections.abc import Iterable
from pathlib import Path

PERMISSION = "give yourself permission (chmod -R u+rwX), or move it elsewhere"
REASONS = {  # what to do where the system, not the content of a file, is the reason
    **dict.fromkeys((errno.EACCES, errno.EPERM), PERMISSION),
    errno.EROFS: "choose a folder that can be written",
    errno.ENAMETOOLONG: "shorten the name",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space and run again"),
    errno.ENOENT: "correct its path",
    errno.ENOTDIR: "name a folder where one is expected",
    errno.ELOOP: "correct the link",
    errno.EFBIG: "name another file, or split it",
}
# Most bytes of a file that is read; of a packed recording, unpacked
TABLE, RECORDING, ONNX, WEIGHTS = 10**8, 10**9, 2 * 10**9, 16 * 10**9
PASSWORDS = (  # what is kept, and the password
    r"(?s)((?:\w:/{0,2}|//)[^:/@\s?]*:)(.+)(?=@)",
    r"(\w://?[^:/@\s?]*:)(?!\d*(?:[/?,]|$))([^/?@]+)",  # the host is missing
    r"(?si)([?&][^=&]*(?:passw|pwd|%)[^=&]*=)([^&]*)",
    r"(?i)((?:^|\s)\w*(?:password|passwd|pwd)\w*\s*=\s*)('(?:\\.|[^'])*'|\"[^\"]*\"|\S+)",
)


class LabError(Exception):
    """The data, the settings or a run has a problem; the message names it and the fix."""

    @classmethod
    def expected(cls, where: object, what: str, got: object, todo: str) -> "LabError":
        return cls(f"{where}: expected {what}, got {got}; {todo}")


class DataError(LabError):
    """A file or table of the data cannot be used."""


class SettingsError(LabError):
    """A parameter has an unknown name, a wrong type, or a value out of range."""


class RunError(LabError):
    """A run folder or checkpoint does not match what was requested."""


def some(ids: Iterable[object], limit: int = 5) -> str:
    """The first few of many ids, and the number of the others: ``0001, 0002 and 7 more``."""
    names = [str(i) for i in ids]
    more = len(names) - limit
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:limit])} and {more} more"


def advice(error: BaseException, otherwise: str) -> str:
    """What to do about a file that cannot be used: `otherwise`, if its content may be the cause."""
    return REASONS.get(getattr(error, "errno", None) or 0, otherwise)


def unreadable(path: object, what: str, error: BaseException, otherwise: str) -> DataError:
    """A file that cannot be used, with the reason in one line."""
    what = "is too large" if getattr(error, "errno", None) == errno.EFBIG else what
    message = str(getattr(error, "strerror", None) or error)
    reason = " ".join(message.split())[:100] or type(error).__name__
    return DataError(f"{path}: {what} ({reason}); {advice(error, otherwise)}")


def bounded(path: Path, most: int = TABLE) -> Path:
    """The path of a file to be read whole; OSError, see `unreadable`, if it has more bytes than
    `most`, or is a device or pipe, which may have no end."""
    count = path.stat().st_size
    whole = path.is_file() or path.is_dir()
    if not whole or count > most:
        size = f"{count:,} bytes" if whole else "no regular file"
        raise OSError(errno.EFBIG, f"it is larger than {most / 1e6:g} MB: {size}", str(path))
    return path


def without_password(text: str) -> str:
    """Masks the passwords of a database URL, or of name=value pairs."""
    for form in PASSWORDS:
        text = re.sub(form, r"\1***", text)
    return text
