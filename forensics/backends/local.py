"""Models in this process: ``hf/<directory or hub id>``, ``gguf/<file>``, ``zoo/<name>``. The reference implementation:
whole-vocabulary raw log-probs, exact scoring of given answers, seeded sampling.

Options: ``dtype`` (float32, bfloat16, float16; small models default to float32), ``device`` (cpu, cuda, auto),
``batch`` (requests a forward pass), ``threads`` (1 is often quickest on a machine that is busy otherwise), and for hub
ids ``revision``.

What is drawn for a request depends on the model, the request and its seed: not on the other requests of the batch,
and not on another model's draws (models sharing a seed must not share luck, or they would look related). Without a
seed every draw is new. See `local_model` for tolerances.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

from ..errors import BackendError, ProtocolError, UnavailableError, UsageError
from ..registry import unknown
from ..serial import dump
from ..types import (
    Capabilities,
    Completion,
    Message,
    ModelSpec,
    Reply,
    Request,
    Sampling,
    TokenLogprob,
    Usage,
    canonical,
    sha256,
)
from .local_model import Drawn, Job, LocalModel, Source, load_model

_HASH_LIMIT = 2 * 2**30  # larger weight files are named in the handshake, not hashed
# Chat templates that print today's date would make the same request another prompt tomorrow: theirs is a fixed day.
_FIXED_DAY = (
    "{%- macro strftime_now(f) -%}{{ f | replace('%Y', '2025') | replace('%m', '01') | replace('%d', '01') "
    "| replace('%B', 'January') | replace('%b', 'Jan') }}{%- endmacro -%}"
)
_CHAT = Request(
    "handshake", "chat", (Message("user", "Name three rivers and say where they flow."),),
    sampling=Sampling(1.0, 1.0, 8, seed=1), top_logprobs=5,
)  # fmt: skip


class LocalBackend:
    """What the three ways share; weights are loaded at first use."""

    concurrency = 1
    known: ClassVar[tuple[str, ...]] = ("batch", "device", "dtype", "threads")

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        for key, _value in spec.options:
            if key not in self.known:
                raise UsageError(f"{spec}: {unknown('option', key, self.known)}")
        dtype = spec.option("dtype")
        if dtype not in (None, "float32", "bfloat16", "float16"):
            raise UsageError(f"{spec}: {unknown('dtype', str(dtype), ('float32', 'bfloat16', 'float16'))}")
        device = spec.option("device", "cpu") or "cpu"
        if not re.fullmatch(r"cpu|auto|cuda(:\d+)?", device):
            raise UsageError(f"{spec}: {unknown('device', device, ('cpu', 'cuda', 'auto'))}")
        self.batch = self._count("batch") or 32
        self._source = replace(
            self._locate(), dtype=dtype, device=device, threads=self._count("threads"), revision=spec.option("revision")
        )
        self._model: LocalModel | None = None
        self._lock = threading.Lock()

    def _count(self, key: str) -> int | None:
        value = self.spec.option(key)
        if value is None:
            return None
        if not value.isdecimal() or int(value) < 1:
            raise UsageError(f"{self.spec}: {key} is a whole number of at least 1, not {value!r}")
        return int(value)

    def _locate(self) -> Source:
        """Where the model is; called while building, so it must not touch the weights."""
        raise NotImplementedError

    def _check(self) -> None:
        """Raise `UnavailableError` if files are missing that loading needs."""

    def weights_dir(self) -> Path | None:
        """The directory with this model's safetensors; None for GGUF files and hub ids."""
        return None if self._source.gguf else self._source.folder

    def opened(self) -> LocalModel:
        """The model, loaded now if it is not yet. Errors: `UnavailableError` without the packages of the extra."""
        try:
            import torch
            import transformers  # noqa: F401
        except ModuleNotFoundError as error:
            needs = f"{self.spec} needs the package {error.name!r}"
            raise UnavailableError(f"{needs}: pip install 'distillation-forensics[local]'") from error
        if self._source.threads:
            torch.set_num_threads(self._source.threads)  # every time: it holds for the thread that calls it
        if self._model is None:
            self._check()
            self._model = load_model(self._source)
        return self._model

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Answer in order; the work runs in a thread."""
        return await asyncio.to_thread(self._answer, requests)

    async def handshake(self, salt: bytes = b"") -> tuple[Capabilities, bytes]:
        """Load the model and measure it; the bytes say what was asked and found, with a digest of every weight file."""
        return await asyncio.to_thread(self._measure)

    async def close(self) -> None:
        """Drop the model."""
        self._model = None

    def _answer(self, requests: Sequence[Request]) -> list[Reply]:
        with self._lock:
            model = self.opened()
            now = datetime.now(UTC).isoformat(timespec="seconds")
            done: dict[int, Completion] = {}
            groups: dict[tuple[bool, bool, int], list[Job]] = {}
            for index, request in enumerate(requests):
                try:
                    job = make_job(model, index, request)
                except ValueError as error:
                    done[index] = Completion(request.digest, None, "error", error=str(error))
                else:
                    groups.setdefault((bool(job.target), job.limit == 1, job.top), []).append(job)
            try:
                for group in groups.values():
                    for batch in model.batches(group, self.batch):
                        done.update(_run(model, batch, requests))
            except RuntimeError as error:
                raise BackendError(f"{self.spec}: the model failed ({' '.join(str(error).split())[:300]})") from error
            out = [replace(done[i], model_echo=self.spec.name, received_at=now) for i in range(len(requests))]
            return [Reply(completion, dump(completion)) for completion in out]

    def _ask(self, *requests: Request) -> list[Completion]:
        done = [reply.completion for reply in self._answer(requests)]
        for completion in done:
            if completion.error:
                raise ProtocolError(f"{self.spec}: {completion.error}")
        return done

    def _measure(self) -> tuple[Capabilities, bytes]:
        first = self._ask(_CHAT)[0]
        beside, again = self._ask(replace(_CHAT, prompt="Once upon a time", messages=()), _CHAT)
        one = replace(_CHAT, sampling=Sampling(1.0, 1.0, 1, seed=1), top_logprobs=-1)
        cold = replace(one, sampling=Sampling(0.25, 0.5, 1, seed=1))
        every, cooled = (c.tokens[0] for c in self._ask(one, cold))
        model = self.opened()
        tolerance = 1e-3 if str(model.model.dtype) == "torch.float32" else 0.2
        cool = dict(cooled.top)
        drift = max(abs(lp - cool[token]) for token, lp in every.top if math.isfinite(lp))
        mass = math.fsum(math.exp(lp) for _token, lp in every.top)
        whole = len(every.top) == len(set(model.pieces)) and abs(mass - 1) < 1e-3
        compared, error = self._rescore()
        caps = Capabilities(
            top_k=-1 if whole else 0, prompt_scoring=compared > 0 and error <= tolerance, full_logits=whole,
            weights=True, seed=first.text == again.text, logprob_kind="raw" if drift <= tolerance else "processed",
            model_echo=self.spec.name, observed_at=first.received_at,
        )  # fmt: skip
        evidence = {
            "spec": str(self.spec), "asked": [_CHAT.digest, one.digest, cold.digest], "tolerance_nats": tolerance,
            "answers": [first.text, again.text, beside.text], "rescored_tokens": compared, "rescored_error_nats": error,
            "vocabulary": len(model.pieces), "mass": mass, "temperature_drift_nats": drift, "files": self._digests(),
            "dtype": str(model.model.dtype), "context": model.context, "identity": model.identity,
            "config": sha256(model.model.config.to_json_string().encode()),
        }  # fmt: skip
        return caps, canonical(evidence)

    def _rescore(self) -> tuple[int, float]:
        """Score texts just generated: the number of tokens compared, and the largest difference (nats) to what was
        reported while generating. Only tokens up to the first where the text is cut otherwise can be compared."""
        pairs: list[tuple[TokenLogprob, TokenLogprob]] = []
        for seed, heat in enumerate((0.0, 1.0, 1.0, 1.0)):
            said = self._ask(replace(_CHAT, sampling=Sampling(heat, 1.0, 8, seed=seed)))[0]
            if said.text:
                scored = self._answer([replace(_CHAT, target=said.text)])[0].completion.tokens
                both = zip(said.tokens, scored, strict=False)
                pairs += takewhile(lambda pair: pair[0].token == pair[1].token, both)
        return len(pairs), max((abs(a.logprob - b.logprob) for a, b in pairs), default=0.0)

    def _digests(self) -> dict[str, str]:
        """SHA-256 of every weight file, by name; larger ones than the limit by size."""
        folder = self._source.folder
        if folder is None:
            return {}
        paths = [folder / self._source.gguf] if self._source.gguf else sorted(folder.glob("*.safetensors"))
        out = {}
        for path in paths:
            if path.stat().st_size > _HASH_LIMIT:
                out[path.name] = f"not hashed, {path.stat().st_size} bytes"
                continue
            with path.open("rb") as file:
                out[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return out


class HfBackend(LocalBackend):
    """``hf/<directory>`` with config, tokenizer and safetensors, or ``hf/<hub id>``."""

    known = (*LocalBackend.known, "revision")

    def _locate(self) -> Source:
        folder = Path(os.path.expanduser(self.spec.name))
        return Source(self.spec.name, folder if os.path.isdir(folder) else None)

    def _check(self) -> None:
        folder = self._source.folder
        if folder is not None:
            check_folder(folder)
        elif not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", self.spec.name):
            raise UnavailableError(f"no such model directory: {self.spec.name}")


class ZooBackend(LocalBackend):
    """``zoo/<name>``: one of the small models of known lineage that ship with the package; with ``?from=DIR`` one that
    was made by the same code (its recipe.json lies beside it), so that the zoo's population speaks about it."""

    known: ClassVar[tuple[str, ...]] = (*LocalBackend.known, "from")

    def _locate(self) -> Source:
        from .. import zoo

        home = self.spec.option("from")
        if home is not None:
            folder = Path(os.path.expanduser(home)) / self.spec.name
            if not os.path.isfile(folder / "recipe.json"):
                raise UsageError(
                    f"{self.spec}: {folder} holds no recipe.json, so it is no model of the zoo; name it hf/"
                )
            return Source(self.spec.name, folder)
        try:
            return Source(self.spec.name, Path(zoo.path(self.spec.name)))
        except KeyError as error:
            raise UsageError(unknown("zoo model", self.spec.name, zoo.models())) from error

    def _check(self) -> None:
        check_folder(Path(self._source.folder or ""))


class GgufBackend(LocalBackend):
    """``gguf/<path>``: one GGUF file, dequantised while loading."""

    def _locate(self) -> Source:
        path = Path(os.path.expanduser(self.spec.name))
        return Source(self.spec.name, path.parent, path.name)

    def _check(self) -> None:
        path = Path(os.path.expanduser(self.spec.name))
        if not os.path.isfile(path):
            raise UnavailableError(f"no such GGUF file: {self.spec.name}")


def check_folder(folder: Path) -> None:
    """Errors: `UnavailableError` for a directory without configuration or without safetensors."""
    if not os.path.isfile(folder / "config.json"):
        raise UnavailableError(f"{folder} has no config.json: not a model directory")
    if not any(folder.glob("*.safetensors")):
        others = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in folder.glob(pattern))
        hint = f", only {others[0]}: convert it (pickled weights can run code)" if others else ""
        raise UnavailableError(f"{folder} has no safetensors weights{hint}")


def make_job(model: LocalModel, index: int, request: Request) -> Job:
    """A request in tokens. Errors: `ValueError` with the reason that its completion will carry."""
    import numpy as np

    prompt = encode_prompt(model, request)
    if not prompt:
        raise ValueError("the prompt is empty, and the tokenizer has no token to start a text with")
    target = [] if request.target is None else encode_target(model, request.target)
    fed = len(prompt) + max(0, len(target) - 1)
    if model.context is not None and fed > model.context:
        what = "prompt" if request.target is None else "prompt and target"
        raise ValueError(f"{what} of {fed} tokens exceeds the model's context of {model.context}")
    s = request.sampling
    if request.target is None and s.max_tokens < 1:
        raise ValueError(f"max_tokens is {s.max_tokens}: nothing to generate")
    # The last token drawn is never read, so one more than the context holds can be had.
    limit = s.max_tokens if model.context is None else min(s.max_tokens, model.context - len(prompt) + 1)
    entropy = None if s.seed is None else int(sha256(f"{model.identity}/{request.digest}".encode()), 16)
    rng = np.random.Generator(np.random.PCG64(entropy))
    return Job(index, prompt, target, request.top_logprobs, limit, s.temperature, s.top_p, rng)


def encode_prompt(model: LocalModel, request: Request) -> list[int]:
    """Prompt ids. Raw text and plain renderings get the tokenizer's own special tokens, chat templates write theirs."""
    tokenizer = model.tokenizer
    templated = request.prompt is None and bool(tokenizer.chat_template)
    text = request.prompt if request.prompt is not None else render(tokenizer, request.messages)
    ids = [int(i) for i in tokenizer(text, add_special_tokens=not templated, verbose=False)["input_ids"]]
    if not templated and len(ids) > 1 and ids[-1] == tokenizer.eos_token_id and not text.endswith(tokenizer.eos_token):
        ids.pop()  # some tokenizers close every text; after that only a new one could follow
    if not ids:
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        ids = [] if start is None else [int(start)]
    return ids


def render(tokenizer: Any, messages: Sequence[Message]) -> str:
    """Messages as the text that the answer follows.

    Without a chat template every turn is "User:" (System:, Assistant:), a line break, the content and a blank line,
    and "Assistant:" and a line break come last. A template that refuses or drops the system turn gets its text at
    the head of the first user turn. Errors: `ValueError` if the template refuses the conversation altogether.
    """
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        return "".join(f"{m.role.capitalize()}:\n{m.content}\n\n" for m in messages) + "Assistant:\n"

    template = tokenizer.get_chat_template()
    if "strftime_now" in template:
        template = _FIXED_DAY + template

    def fill(turns: Sequence[Message]) -> str:
        chat = [{"role": m.role, "content": m.content} for m in turns]
        text: str = tokenizer.apply_chat_template(
            chat, chat_template=template, tokenize=False, add_generation_prompt=True
        )
        return text

    system = [m.content.strip() for m in messages if m.role == "system"]
    if system:
        with contextlib.suppress(TemplateError):
            text = fill(messages)
            if all(part in text for part in system):
                return text
    try:
        return fill(_folded(messages, system) if system else messages)
    except TemplateError as error:
        raise ValueError(f"the chat template refuses the conversation: {error}") from error


def _folded(messages: Sequence[Message], system: Sequence[str]) -> list[Message]:
    """The conversation with its system texts at the head of the first user turn."""
    turns = [m for m in messages if m.role != "system"]
    first = next((i for i, m in enumerate(turns) if m.role == "user"), None)
    if first is None:
        raise ValueError("the chat template takes no system turn, and there is no user turn to put it in")
    turns[first] = Message("user", "\n\n".join([*system, turns[first].content]))
    return turns


def encode_target(model: LocalModel, text: str) -> list[int]:
    """Ids whose bytes join to exactly ``text``. Special tokens spelled out in it are letters here, not commands.

    SentencePiece puts a space before a text; encoding behind a line break, whose ids are then cut off, avoids it.
    Errors: `ValueError` if no way of encoding gives the text back.
    """
    if not text:
        raise ValueError("the target is empty: nothing to score")

    def ids(part: str) -> list[int]:
        found = model.tokenizer(part, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        return [int(i) for i in found]

    def spells(found: Sequence[int]) -> bool:
        return b"".join(model.pieces[i] for i in found) == text.encode()

    found = ids(text)
    if not spells(found):
        found = ids("\n" + text)[len(ids("\n")) :]
    if spells(found):
        return found
    raise ValueError("the tokenizer can't spell the target exactly (it normalises or drops characters)")


def _run(model: LocalModel, batch: Sequence[Job], requests: Sequence[Request]) -> dict[int, Completion]:
    """Completions of one micro-batch by index in ``requests``."""
    if batch[0].target:
        scored = zip(batch, model.score(batch), strict=True)
        return {job.index: _scored(requests[job.index], job, tokens) for job, tokens in scored}
    return {d.job.index: _written(model, requests[d.job.index], d) for d in model.generate(batch)}


def _scored(request: Request, job: Job, tokens: list[TokenLogprob]) -> Completion:
    usage = Usage(len(job.prompt), len(tokens))
    if any(math.isnan(t.logprob) for t in tokens):
        return Completion(request.digest, None, "error", usage=usage, error="the model's logits are not finite (NaN)")
    return Completion(request.digest, request.target, "stop", tuple(tokens), usage=usage)


def _written(model: LocalModel, request: Request, drawn: Drawn) -> Completion:
    usage = Usage(len(drawn.job.prompt), len(drawn.ids))
    if drawn.finish in (None, "error"):
        return Completion(request.digest, None, "error", usage=usage, error="the model's logits are not finite (NaN)")
    text = b"".join(model.pieces[i] for i in drawn.ids).decode("utf-8", errors="replace")
    return Completion(request.digest, text, drawn.finish, tuple(drawn.tokens), usage=usage)
