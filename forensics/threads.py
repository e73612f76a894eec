"""One thread for many small sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def single_threaded(function: Callable[P, T]) -> Callable[P, T]:
    """Run with BLAS and OpenMP on one thread.

    Judging is thousands of fits of a few hundred rows: handing each to a pool of threads costs ten times what it saves
    (measured: 41 s instead of 5 s for one validation), and a sum that is split otherwise is not the same to the bit.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        import sklearn.linear_model  # noqa: F401 - only libraries that are loaded can be limited
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return wrapped
