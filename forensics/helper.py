"""A second process that scores beside this one.

Reading a case of public chat answers is seconds of pure Python, on one core. The helper is a process of its own that
runs ``function(*arguments)`` on what it is sent and keeps what it found in texts, as this process does. Started by
`subprocess`, not by `multiprocessing`, whose children run the user's own script again. It ends when its input does, and
so with this process however that ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

# The same import path, in this order, and nothing from the working directory: that may be somebody's evidence.
START = "import sys; sys.path[:] = {path!r}; from forensics.helper import serve; serve()"
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Helper:
    """One process; a context manager. One call at a time: `send`, something else meanwhile, `receive`."""

    def __init__(self) -> None:
        path = [entry for entry in sys.path if entry]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START.format(path=path)], env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def send(self, function: Callable[..., Any], *arguments: object) -> None:
        """Start a call. A helper that is gone is noticed by `receive`."""
        assert self._process.stdin is not None
        with suppress(OSError):
            pickle.dump((function, arguments), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def receive(self) -> Any:
        """What the call returned; None where the helper failed: the caller makes it again, and meets the error."""
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


def serve() -> None:
    """The helper's own side: calls from standard input until it ends, results to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it closes our input
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that is printed may get among the results
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(function(*arguments), out, pickle.HIGHEST_PROTOCOL)
        out.flush()
