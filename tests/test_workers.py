"""A killed run leaves no process behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

RUN = """
import os, time
from forensics.workers import pool

def main():
    with pool(2, {method!r}) as workers:
        print(*{{f.result() for f in [workers.submit(os.getpid) for _ in range(8)]}}, flush=True)
        workers.submit(time.sleep, {busy}).result()

if __name__ == "__main__":
    main()
"""


def alive(pid: int) -> bool:
    """A zombie counts as gone: nobody may be there to reap it."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ended(children: list[int]) -> None:
    """In ten seconds; whoever is left is killed, and the test fails."""
    for _ in range(200):
        if not any(map(alive, children)):
            return
        time.sleep(0.05)
    left = [pid for pid in children if alive(pid)]
    for pid in left:
        os.kill(pid, 9)
    pytest.fail(f"left behind: {left}")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_workers_end_with_a_killed_parent(tmp_path, method, signal):
    script = tmp_path / "run.py"
    script.write_text(RUN.format(method=method, busy=600))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        children = [int(pid) for pid in run.stdout.readline().split()]
        assert children
        assert all(map(alive, children))
        run.send_signal(getattr(__import__("signal"), signal))
        run.wait()
    ended(children)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_helper_ends_with_a_killed_parent():
    script = "from forensics.helper import Helper; h = Helper(); print(h._process.pid, flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        assert alive(child)
        run.kill()
        run.wait()
    ended([child])
