"""``kill -9`` at random moments of a collection: what was committed stays, is never asked again, and still verifies."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from loopback import Loopback, Plan

from forensics.store import Store

ITEMS = 120


def suite(folder: Path) -> Path:
    path = folder / "mine.jsonl"
    rows = [{"id": f"i{i}", "family": "writing", "prompt": f"question {i}", "max_tokens": 8} for i in range(ITEMS)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def command(server: Loopback, folder: Path) -> list[str]:
    where = f"?base_url={server.url}"
    parties = ["--suspect", f"api/mine/s{where}", "--reference", f"api/mine/r{where}"]
    return [sys.executable, "-m", "forensics.cli", "collect", *parties, "--suite", str(suite(folder)), "--case",
            str(folder / "killed.case"), "--quiet"]  # fmt: skip


def committed(case: Path) -> set[str]:
    """The keys of the answers in the case: each says which request body it answers."""
    with Store(case, must_exist=True) as store:
        store.check()
        texts = [json.loads(store.body(e.parsed))["text"] for e in store.entries("answer")]
    keys = [str(text).split()[1] for text in texts]
    assert len(keys) == len(set(keys))
    return set(keys)


def killed(tmp_path: Path, times: int, seed: int) -> None:
    rng, case = random.Random(seed), tmp_path / "killed.case"
    with Loopback(Plan(latency=0.002)) as server:
        before: set[str] = set()
        for _ in range(times):
            asked = server.asked.copy()
            # The handshake of two parties comes first; a few requests of it may be all that a run gets.
            moment = server.after(rng.randint(1, max(2, 4 * ITEMS // times)))
            with subprocess.Popen(command(server, tmp_path), stderr=subprocess.DEVNULL) as run:
                if not moment.wait(120):
                    break  # nothing was left to ask
                run.kill()
            again = {key for key, count in server.asked.items() if count > asked[key]}
            assert not again & before, "an answer that was committed was asked again"
            found = committed(case) if case.exists() and case.stat().st_size else set()
            assert found >= before, "a committed answer was lost"
            before = found
        asked = server.asked.copy()
        subprocess.run(command(server, tmp_path), check=True, stderr=subprocess.DEVNULL, timeout=300)
        again = {key for key, count in server.asked.items() if count > asked[key]}
        assert not again & before
        final = committed(case)
        assert final >= before
        assert len(final) == ITEMS * 4  # suspect, reference, and second draws of both
        subprocess.run([sys.executable, "-m", "forensics.cli", "verify", str(case)], check=True, timeout=300)


def test_three_kills_lose_nothing(tmp_path: Path) -> None:
    killed(tmp_path, 3, seed=1)


@pytest.mark.slow
def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    killed(tmp_path, 50, seed=2)
