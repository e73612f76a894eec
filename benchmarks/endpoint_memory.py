"""Memory while asking 100,000 requests, and how many a second: it must not grow with the answers.

    python benchmarks/endpoint_memory.py [--requests 100000]

The transport is `httpx2.MockTransport`, so that this measures the client alone: asking, parsing, one committed
transaction an answer. Each answer has about 400 bytes. The resident set is read ten times on the way; the first reading
is taken when the plan is in memory, which holds the requests themselves and is as large as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import httpx2


def resident() -> float:
    """MiB of this process that are in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Print the curve."""
    from forensics.backends.openai import ApiBackend
    from forensics.collect import ask
    from forensics.spec import parse_spec
    from forensics.store import Store
    from forensics.types import Message, Progress, Request, Sampling

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    n = parser.parse_args().requests
    served = 0

    async def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal served
        served += 1
        number = served
        await asyncio.sleep(0)  # as a socket does: a loop that never turns keeps the timer of every answer
        message = {"role": "assistant", "content": f"answer {number} " + "of some words " * 16}
        body = {"id": f"chatcmpl-{number}", "choices": [{"message": message, "finish_reason": "stop"}], "model": "m"}
        return httpx2.Response(200, content=json.dumps(body).encode())

    spec = parse_spec("api/bench/m?base_url=http://127.0.0.1:1/v1")
    backend = ApiBackend(spec, transport=httpx2.MockTransport(answer))
    sampling = Sampling(max_tokens=64)
    requests = [Request("p", f"{i}", (Message("user", f"question {i}"),), None, sampling) for i in range(n)]
    start, work = time.perf_counter(), time.process_time()

    def watch(event: Progress) -> None:
        if event.done % max(1, n // 10) == 0:
            used = time.process_time() - work
            each = used / max(event.done, 1) * 1000
            print(f"{event.done:>7} answers  {resident():7.1f} MiB  {each:.2f} ms of processor each", flush=True)

    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "bench.case") as store:
        asyncio.run(ask({"suspect": backend}, {"suspect": requests}, store, "answers", watch))
        took = time.perf_counter() - start
        size = (Path(folder) / "bench.case").stat().st_size
        print(f"{n / took:.0f} a second; case of {size / 2**20:.0f} MiB; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
