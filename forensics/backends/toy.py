"""``toy/<name>``: an in-memory model that ships, for tests and for trying a configuration at no cost.

Its answers are a fixed function of name, seed option and request: words of a small list drawn by a name-specific
preference. ``?parent=<name>&share=.5`` copies that share of its word preferences from another toy. ``?fail=N`` makes
every N-th request an error, ``?empty=N`` every N-th answer empty; both serve the tests of the whole flow.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from ..errors import UsageError
from ..serial import dump
from ..types import Capabilities, Completion, ModelSpec, Reply, Request, TokenLogprob, Usage, canonical

WORDS = """
river stone lamp window garden amber quiet motor signal harvest cotton ladder violet engine meadow copper thunder basket
harbor marble velvet orchard pepper canyon silver anchor willow cinder maple ribbon
""".split()
LENGTH = 30


def _unit(*parts: object) -> float:
    """A number in (0, 1) that depends on the parts alone."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return (int.from_bytes(digest[:8], "big") + 0.5) / 2**64


class ToyBackend:
    """See the module."""

    batch = 16
    concurrency = 4

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        try:
            self._share = float(spec.option("share", "0") or 0)
            self._fail = int(spec.option("fail", "0") or 0)
            self._empty = int(spec.option("empty", "0") or 0)
        except ValueError as error:
            raise UsageError(f"{spec}: share, fail and empty are numbers ({error})") from error
        self._parent = spec.option("parent", spec.name) or spec.name
        self.asked = 0

    def _weights(self, prompt: str) -> list[tuple[str, float]]:
        """Log-probabilities of the words after this prompt."""
        raw = []
        for word in WORDS:
            source = self._parent if _unit(self.spec.name, "copy", prompt, word) < self._share else self.spec.name
            raw.append(3.0 * _unit(source, prompt, word) + 2.0 * _unit(source, word))
        total = math.log(sum(math.exp(r) for r in raw))
        return [(w, r - total) for w, r in zip(WORDS, raw, strict=True)]

    def _answer(self, request: Request) -> Completion:
        prompt = request.prompt if request.prompt is not None else "\n".join(m.content for m in request.messages)
        weights = self._weights(prompt)
        table = dict(weights)
        if self._empty and int(_unit(self.spec.name, prompt, "empty") * self._empty) == 0:
            return Completion(request.digest, "", "stop")
        if request.target is not None:
            words = request.target.split()
        else:
            words = [self._draw(weights, request, i) for i in range(min(LENGTH, request.sampling.max_tokens))]
        top = tuple((f" {w}".encode(), lp) for w, lp in sorted(weights, key=lambda p: -p[1]))
        k = len(top) if request.top_logprobs < 0 else request.top_logprobs
        floor = None if k >= len(top) else (top[k - 1][1] if k else None)
        tokens = tuple(TokenLogprob(f" {w}".encode(), table.get(w, -12.0), top[:k], floor) for w in words)
        finish = "length" if request.target is None and len(words) == request.sampling.max_tokens else "stop"
        text = request.target if request.target is not None else " ".join(words)
        return Completion(
            request.digest, text, finish, tokens if request.top_logprobs or request.target is not None else (),  # type: ignore[arg-type]
            usage=Usage(len(prompt.split()), len(words)), model_echo=self.spec.name,
        )  # fmt: skip

    def _draw(self, weights: list[tuple[str, float]], request: Request, position: int) -> str:
        s = request.sampling
        key = (self.spec.name, s.seed, request.item, request.sample, position)

        def perturbed(pair: tuple[str, float]) -> float:
            """Gumbel noise makes the largest a draw from the softmax."""
            return pair[1] / max(s.temperature, 1e-3) - math.log(-math.log(_unit(*key, pair[0])))

        return max(weights, key=perturbed)[0]

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Answer at once."""
        replies = []
        for request in requests:
            self.asked += 1
            if self._fail and int(_unit(self.spec.name, request.digest, self.asked) * self._fail) == 0:
                done = Completion(request.digest, None, "error", error="the toy was told to fail here")
            else:
                done = self._answer(request)
            replies.append(Reply(done, dump(done)))
        return replies

    async def handshake(self, salt: bytes = b"") -> tuple[Capabilities, bytes]:
        """A toy knows itself."""
        caps = Capabilities(
            top_k=-1, prompt_scoring=True, full_logits=True, seed=True, logprob_kind="raw", model_echo=self.spec.name
        )
        return caps, canonical({"toy": self.spec.name})

    async def close(self) -> None:
        """Nothing to let go of."""
