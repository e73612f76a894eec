"""Asking an endpoint: what share of the ideal request rate is reached, and what a request costs the client.

    python benchmarks/endpoints.py [--requests 5000] [--connections 64] [--latency 0.05]

The server (`tools/loopback.py`) runs in a process of its own; the client is `forensics.collect` with a case file on
disk: what is measured contains the retries' set-up, the parsing and one committed transaction an answer. The ideal is
connections / latency. The client's cost is processor time (`time.process_time`), which a busy machine changes little;
the rate suffers from everything else that runs, so the load is printed too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))


def serve(latency: float) -> None:
    """The server's process: prints its address, ends with its input."""
    from loopback import Loopback, Plan

    with Loopback(Plan(latency=latency)) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def measure(url: str, n: int, connections: int) -> tuple[float, float]:
    """Seconds of the clock and of the processor for ``n`` requests."""
    from forensics.backends import open_backend
    from forensics.collect import ask
    from forensics.spec import parse_spec
    from forensics.store import Store
    from forensics.types import Message, Request, Sampling

    backend = open_backend(parse_spec(f"api/bench/model?base_url={url}&concurrency={connections}"))
    text = "Explain in some detail why the sky is blue, and say what colour it has on Mars. " * 3
    requests = [
        Request("p", f"{i}", (Message("user", f"{i} {text}"),), None, Sampling(max_tokens=64)) for i in range(n)
    ]
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "bench.case") as store:
        # The first connections and imports are no part of it.
        asyncio.run(ask({"suspect": backend}, {"suspect": requests[:connections]}, store, "warm"))
        start, work = time.perf_counter(), time.process_time()
        asyncio.run(ask({"suspect": backend}, {"suspect": requests}, store, "answers"))
        took, used = time.perf_counter() - start, time.process_time() - work
        assert all(store.has(backend.spec, r) for r in requests)
    return took, used


def main() -> None:
    """Print the two numbers and what they were measured under."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.latency)
        return
    command = [sys.executable, __file__, "--serve", "--latency", str(args.latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        took, used = measure(url, args.requests, args.connections)
        server.communicate("")
    n = args.requests - args.connections
    ideal = args.connections / args.latency
    print(f"{n} requests, {args.connections} connections, {args.latency * 1000:g} ms; load {os.getloadavg()[0]:.1f}")
    print(f"rate: {n / took:.0f} a second, {n / took / ideal:.1%} of the ideal {ideal:.0f}")
    print(f"client: {used / n * 1000:.2f} ms of processor a request")


if __name__ == "__main__":
    main()
