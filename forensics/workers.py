"""Worker processes that end with the process that started them."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from typing import Literal


def pool(workers: int, method: Literal["spawn", "fork"] = "spawn") -> ProcessPoolExecutor:
    """A pool whose workers end when their parent does, however it ended.

    The library's own wait for ever on their queue after a parent that was killed: each holds the other end open.
    """
    from multiprocessing import get_context

    return ProcessPoolExecutor(workers, mp_context=get_context(method), initializer=_watch)


def _watch() -> None:
    from threading import Thread

    Thread(target=_until_orphaned, daemon=True).start()


def _until_orphaned() -> None:
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
