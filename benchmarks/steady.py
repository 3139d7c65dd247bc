"""Stable timings: reuses freed memory, as a long training does, instead of returning it."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's parameter numbers for mallopt


def keep_freed_memory() -> None:
    """Has an effect with glibc; call before the first large array.

    Otherwise every large array is allocated from new pages, at a cost that depends on the kernel
    and on earlier work: up to a third of a step, and different each time.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
