"""What the command does around the engine: errors to one line and an exit code, progress bars on stderr."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, ParamSpec

from .errors import ForensicsError
from .types import Listener, Progress, silent

P = ParamSpec("P")
INTERRUPTED = 4
KEPT = "what was answered in a case file is kept; the same command continues"


def say(text: str) -> None:
    """One line of talk, to stderr."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """The text without control characters: foreign text must not steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def short(text: str, limit: int = 1000) -> str:
    """One line, cut where somebody's file made it endless."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def leave(code: int) -> NoReturn:
    """End with a code, even while a worker thread is still inside a model: answers are already on disk."""
    import typer

    if any(t is not threading.main_thread() and not t.daemon for t in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


def guarded(function: Callable[P, int | None]) -> Callable[P, None]:
    """A command whose errors are one line on stderr and the exit code of the contract."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            leave(function(*args, **kwargs) or 0)
        except ForensicsError as error:
            say(f"forensics: {short(str(error))}")
            leave(error.exit_code)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            leave(0)
        except KeyboardInterrupt:
            _interrupted()
        except Exception as error:
            # Not one of ours, so a defect: still one line and "not completed", never an exit code that means a finding.
            if type(error).__module__.startswith(("typer", "click")) or os.environ.get("FORENSICS_DEBUG"):
                raise
            what = f"{type(error).__name__}: {short(str(error))}"
            say(f"forensics: internal error ({what}); FORENSICS_DEBUG=1 shows where, please report it")
            leave(INTERRUPTED)

    return run


def label(event: Progress) -> str:
    """What a bar is called; a control is named after its file, so the name is no markup and steers nothing."""
    from rich.markup import escape

    text = event.stage if event.stage == "judge" else f"{event.stage} {event.party}"
    return escape(printable(" ".join(text.split())))


def _interrupted() -> NoReturn:
    # A second Ctrl-C while we leave must turn neither into a traceback nor into another exit code.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say(f"forensics: interrupted; {KEPT}")
    leave(INTERRUPTED)


def minutely(clock: Callable[[], float] = time.monotonic, every: float = 60.0) -> Listener:
    """A listener for logs: at most one line in so many seconds, with the rate and the time left."""
    begun: dict[tuple[str, str], tuple[float, int]] = {}
    last = clock()

    def listen(event: Progress) -> None:
        nonlocal last
        now = clock()
        since, start = begun.setdefault((event.stage, event.party), (now, event.done))
        if now - last < every or event.done <= start:
            return
        last, rate = now, (event.done - start) / max(now - since, 1e-9)
        left = int((event.total - event.done) / rate)
        clocked = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        say(f"{event.stage} {event.party}: {event.done}/{event.total}, {rate:.1f}/s, about {clocked} left")

    return listen


@contextmanager
def bars(quiet: bool) -> Iterator[Listener]:
    """A listener that shows progress on stderr: bars on a terminal, elsewhere a line a minute."""
    if quiet:
        yield silent
        return
    if not sys.stderr.isatty():
        yield minutely()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns: list[Any] = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                          TextColumn("{task.fields[rate]}"), TimeRemainingColumn()]  # fmt: skip
    with Bars(*columns, console=Console(stderr=True), transient=True) as display:
        tasks: dict[tuple[str, str], TaskID] = {}

        def listen(event: Progress) -> None:
            key = (event.stage, event.party if event.stage != "judge" else "")
            if key not in tasks:
                tasks[key] = display.add_task(label(event), total=event.total, rate="")
            task = display.tasks[tasks[key]]
            rate = f"{task.speed:.1f}/s" if task.speed else ""
            display.update(tasks[key], completed=event.done, total=event.total, rate=rate)

        yield listen
