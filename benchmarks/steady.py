"""Memory as a long training finds it: what was freed is used again, instead of being given back."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's numbers of what mallopt sets


def keep_freed_memory() -> None:
    """Where the C library is glibc; call before the first great array.

    Otherwise every great array is new pages, whose price is the kernel's and depends on what ran
    before: up to a third of a step, and never the same.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
