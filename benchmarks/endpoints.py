"""Asking an endpoint: what share of the ideal request rate is reached, and what a request costs the client.

    python benchmarks/endpoints.py [--requests 5000] [--connections 64] [--latency 0.05]

The server (`tools/loopback.py`) runs in a process of its own. Three clients ask it the same, each in a process of its
own: `forensics.collect` with a case file on disk (parsing and one committed transaction an answer included), and two
bare loops that post, read and keep nothing: `httpx2.AsyncClient` as its manual shows it, and `forensics.backends.line`
alone. The ideal is connections / latency. Cost is processor time, which a busy machine changes less than the rate; the
load is printed, because rates of a machine with fewer than two free cores mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

Ask = Callable[[int, int], Awaitable[None]]  # ask the requests from a first to an end


TEXT = "Explain in some detail why the sky is blue, and say what colour it has on Mars. " * 3


def serve(latency: float) -> None:
    """The server's process: prints its address; at the end of its input, the processor seconds since the first line."""
    from loopback import Loopback, Plan

    with Loopback(Plan(latency=latency)) as server:
        print(server.url, flush=True)
        sys.stdin.readline()
        start = time.process_time()
        sys.stdin.readline()
        print(time.process_time() - start, flush=True)


def collecting(url: str, n: int, connections: int) -> Ask:
    """All of it: what ``forensics collect`` does for one party."""
    from forensics.backends import open_backend
    from forensics.collect import ask
    from forensics.spec import parse_spec
    from forensics.store import Store
    from forensics.types import Message, Request, Sampling

    backend = open_backend(parse_spec(f"api/bench/model?base_url={url}&concurrency={connections}"))
    requests = [
        Request("p", f"{i}", (Message("user", f"{i} {TEXT}"),), None, Sampling(max_tokens=64)) for i in range(n)
    ]
    folder = tempfile.TemporaryDirectory()
    store = Store(Path(folder.name) / "bench.case")

    async def go(first: int, end: int) -> None:
        await ask({"suspect": backend}, {"suspect": requests[first:end]}, store, "answers")
        assert all(store.has(backend.spec, r) for r in requests[first:end:97])

    return go


def posting(url: str, n: int, connections: int) -> Ask:
    """One shared `httpx2.AsyncClient`."""
    import httpx2

    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    client = httpx2.AsyncClient(limits=limits, timeout=None, trust_env=False)

    async def post(content: bytes) -> None:
        answer = await client.post(f"{url}/chat/completions", content=content)
        assert answer.status_code == 200

    return _loop([post] * connections)


def lining(url: str, n: int, connections: int) -> Ask:
    """Connections as the backends use them, and nothing around them."""
    import httpx2

    from forensics.backends.line import Line, pool_for

    pool, address = pool_for(url, proxied=False), httpx2.URL(f"{url}/chat/completions")

    def one(line: Line) -> Callable[[bytes], Awaitable[None]]:
        async def post(content: bytes) -> None:
            answer = await line.handle_async_request(httpx2.Request("POST", address, content=content))
            assert answer.status_code == 200
            await answer.aread()

        return post

    return _loop([one(Line(pool, url, 10)) for _ in range(connections)])


def _loop(posts: list[Callable[[bytes], Awaitable[None]]]) -> Ask:
    async def go(first: int, end: int) -> None:
        numbers = iter(range(first, end))

        async def worker(post: Callable[[bytes], Awaitable[None]]) -> None:
            for i in numbers:
                turn = {"role": "user", "content": f"{i} {TEXT}"}
                await post(json.dumps({"model": "model", "messages": [turn], "max_tokens": 64}).encode())

        async with asyncio.TaskGroup() as group:
            for post in posts:
                group.create_task(worker(post))

    return go


CLIENTS = {"collect": collecting, "bare httpx2": posting, "bare line": lining}


def measure(name: str, url: str, n: int, connections: int, start: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the clock and of the processor for ``n`` requests, after one a connection to warm up."""

    async def go() -> tuple[float, float]:
        ask = CLIENTS[name](url, connections + n, connections)
        await ask(0, connections)
        start()
        began, work = time.perf_counter(), time.process_time()
        await ask(connections, connections + n)
        return time.perf_counter() - began, time.process_time() - work

    return asyncio.run(go())


def run(name: str, n: int, connections: int, latency: float) -> None:
    """One client against a server of its own; prints one row."""
    command = [sys.executable, __file__, "--serve", "--latency", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        say, url = server.stdin, server.stdout.readline().strip()
        took, used = measure(name, url, n, connections, lambda: print(file=say, flush=True))
        print(file=say, flush=True)
        served = float(server.stdout.readline())
    rate, ideal = n / took, connections / latency
    print(
        f"{name:>12} {rate:7.0f} {rate / ideal:8.1%} {used / n * 1000:8.2f} {served / n * 1000:8.2f}"
        f" {os.getloadavg()[0]:6.1f}",
        flush=True,
    )


def main() -> None:
    """Print a row for each client."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.latency)
    elif args.client:
        run(args.client, args.requests, args.connections, args.latency)
    else:
        ideal = args.connections / args.latency
        print(
            f"{args.requests} requests, {args.connections} connections, {args.latency * 1000:g} ms: ideal {ideal:.0f}/s"
        )
        print("      client    rate    share  ms each   server   load    (ms of processor a request)", flush=True)
        for name in CLIENTS:
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--client", name], check=True)


if __name__ == "__main__":
    main()
