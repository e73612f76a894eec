"""A causal language model in this process: loading, byte-true tokens, teacher-forced scores, seeded sampling.

Shapes in docstrings: B rows of a batch, T padded tokens, V vocabulary, N wanted positions. Log-probs are nats, raw:
before temperature and top-p. Padding changes the order of float additions, so the same row in another batch may differ
by about 1e-5 nats in float32 and 0.05 in bfloat16; a drawn token changes only where two candidates lie that close.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..errors import BackendError, UnavailableError
from ..types import Finish, TokenLogprob, sha256

if TYPE_CHECKING:
    import numpy as np

_BUDGET_BYTES = 512 * 2**20  # activations and logits of one micro-batch
_LENGTH_STEP = 32  # padded lengths are multiples of this: every new shape costs the libraries below a set-up
_SMALL = 1_500_000_000  # up to so many parameters float32 is the default: exact, and quick where bfloat16 is emulated
_COMPACT = 0.75  # share of rows still writing below which the finished ones leave the batch


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is: a local directory, a GGUF file (``folder`` + ``gguf``), or an id of the hub (no ``folder``)."""

    name: str
    folder: Path | None = None
    gguf: str | None = None
    revision: str | None = None
    dtype: str | None = None
    device: str = "cpu"
    threads: int | None = None


@dataclass(slots=True)
class Job:
    """One request in tokens: ``target`` is scored after ``prompt``; without one, up to ``limit`` tokens are drawn."""

    index: int
    prompt: list[int]
    target: list[int]
    top: int
    limit: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    rng: np.random.Generator | None = None

    @property
    def fed(self) -> list[int]:
        """What the model reads; the last target token is predicted, never read."""
        return self.prompt + self.target[:-1]

    @property
    def wanted(self) -> int:
        """Positions whose logits are needed."""
        return max(1, len(self.target))


@dataclass(slots=True)
class Drawn:
    """What was drawn for a job so far. ``tokens`` is empty if no log-probs were wanted.

    A stop token is no part of the text and not listed, except where it is the very first token: a next-token query
    has to have its distribution.
    """

    job: Job
    ids: list[int] = field(default_factory=list)
    tokens: list[TokenLogprob] = field(default_factory=list)
    finish: Finish | None = None

    def add(self, token: int, read: TokenLogprob | None, *, stop: bool, sound: bool) -> None:
        """Take one drawn token; ``sound`` is False where the logits were not finite."""
        if not sound:
            self.finish = "error"
            return
        if read is not None and (not stop or not self.ids):
            self.tokens.append(read)
        if stop:
            self.finish = "stop"
            return
        self.ids.append(token)
        if len(self.ids) >= self.job.limit:
            self.finish = "length"


@dataclass(slots=True)
class LocalModel:
    """A loaded model. ``pieces``: id -> true bytes, for every row of the output layer. ``identity``: a digest of
    some of every tensor, so that two models never share a random stream."""

    model: Any
    tokenizer: Any
    pieces: tuple[bytes, ...]
    stops: frozenset[int]
    context: int | None
    identity: str
    budget: int = _BUDGET_BYTES

    def batches(self, jobs: Sequence[Job], size: int) -> Iterator[list[Job]]:
        """Jobs sorted by length in groups of at most ``size`` rows whose tensors fit the budget (a single row always
        goes). The N x V logits of a group are the largest of them."""
        config = self.model.config.get_text_config()
        per_token = 48 * int(getattr(config, "hidden_size", 1024))  # some 12 float32 values a hidden unit at the widest
        group: list[Job] = []
        positions = 0
        for job in sorted(jobs, key=lambda j: len(j.prompt) + len(j.target)):
            per_position = len(self.pieces) * (4 if job.target else 32)  # drawing works in float64, in a few copies
            tokens = (len(group) + 1) * self._padded(len(job.fed))
            cost = tokens * per_token + (positions + job.wanted) * per_position
            if group and (len(group) == size or cost > self.budget):
                yield group
                group, positions = [], 0
            group.append(job)
            positions += job.wanted
        if group:
            yield group

    def score(self, jobs: Sequence[Job]) -> list[list[TokenLogprob]]:
        """The log-prob of every target token of every job, teacher-forced in one forward pass. All share ``top``."""
        import torch

        ids = self._right([job.fed for job in jobs])
        rows = [b for b, job in enumerate(jobs) for _ in job.target]
        cols = [len(job.prompt) - 1 + t for job in jobs for t in range(len(job.target))]
        chosen = torch.tensor([t for job in jobs for t in job.target], device=self.model.device)
        with torch.inference_mode():
            logits, _cache = self._logits(ids, rows, cols, use_cache=False)
            read = iter(self._read(logits, chosen, jobs[0].top))
        return [[next(read) for _ in job.target] for job in jobs]

    def distributions(self, jobs: Sequence[Job]) -> list[Any]:
        """Log-probs (n, V), float32 tensors, after which each of a job's n target tokens comes; no backend's reply
        carries them, because a case could not hold them."""
        import torch

        rows = [b for b, job in enumerate(jobs) for _ in job.target]
        cols = [len(job.prompt) - 1 + t for job in jobs for t in range(len(job.target))]
        with torch.inference_mode():
            logits, _cache = self._logits(self._right([job.fed for job in jobs]), rows, cols, use_cache=False)
            logprobs = logits.float().log_softmax(-1).cpu()
        return list(logprobs.split([len(job.target) for job in jobs]))

    def generate(self, jobs: Sequence[Job]) -> list[Drawn]:
        """Draw tokens for all jobs, which share ``top``. One-token jobs cost one forward pass and no cache."""
        import torch

        drawn = [Drawn(job) for job in jobs]
        with torch.inference_mode():
            if all(job.limit == 1 for job in jobs):
                rows, cols = list(range(len(jobs))), [len(job.prompt) - 1 for job in jobs]
                logits, _cache = self._logits(self._right([j.prompt for j in jobs]), rows, cols, use_cache=False)
                self._take(logits, drawn)
            else:
                self._loop(drawn)
        return drawn

    def _loop(self, drawn: Sequence[Drawn]) -> None:
        """Prefill with left padding, then one token a row and step; finished rows leave when enough have finished."""
        import torch

        slots = list(drawn)
        ids, mask = self._left([d.job.prompt for d in slots])
        positions, cache = (mask.cumsum(1) - 1).clamp(min=0), None
        while True:
            rows, cols = list(range(len(slots))), [ids.shape[1] - 1] * len(slots)
            logits, cache = self._logits(ids, rows, cols, attention_mask=mask, position_ids=positions,
                                         past_key_values=cache, use_cache=True)  # fmt: skip
            ids = self._take(logits, slots)[:, None]
            alive = [i for i, slot in enumerate(slots) if slot.finish is None]
            if not alive:
                return
            if len(alive) <= _COMPACT * len(slots) and hasattr(cache, "batch_select_indices"):
                index = torch.tensor(alive, device=ids.device)
                cache.batch_select_indices(index)
                ids, mask, slots = ids[index], mask[index], [slots[i] for i in alive]
            mask = torch.cat([mask, mask.new_ones((len(slots), 1))], dim=1)
            # A finished row keeps its place with tokens nobody reads; its position must stay one that exists.
            positions = (mask.sum(1, keepdim=True) - 1).clamp(max=(self.context or 2**31) - 1)

    def _logits(self, ids: Any, rows: list[int], cols: list[int], **extra: Any) -> tuple[Any, Any]:
        """Logits (N, V) of ``ids`` (B, T) at the positions (rows, cols), and the cache.

        The output layer is the larger part of memory and often of time. A hook hands it the wanted positions only;
        whatever the model does to the logits after it (scaling, capping) stays the model's own.
        """
        cut: list[bool] = []

        def keep(_layer: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not args or args[0].shape[:2] != ids.shape:
                return None
            cut.append(True)
            return (args[0][rows, cols].unsqueeze(0), *args[1:])

        if "position_ids" not in inspect.signature(self.model.forward).parameters:
            extra.pop("position_ids", None)
        head = self.model.get_output_embeddings()
        handle = None if head is None else head.register_forward_pre_hook(keep)
        try:
            out = self.model(input_ids=ids, **extra)
        finally:
            if handle is not None:
                handle.remove()
        return (out.logits[0] if cut else out.logits[rows, cols]), getattr(out, "past_key_values", None)

    def _take(self, logits: Any, slots: Sequence[Drawn]) -> Any:
        """Draw the next token of every unfinished slot from logits (B, V); token ids (B,), 0 for finished ones."""
        import torch

        live = [i for i, slot in enumerate(slots) if slot.finish is None]
        rows = logits if len(live) == len(slots) else logits[live]
        ids, sound = draw(rows, [slots[i].job for i in live])
        top = slots[live[0]].job.top
        reads: Sequence[TokenLogprob | None] = self._read(rows, ids, top) if top else [None] * len(live)
        for i, token, good, read in zip(live, ids.tolist(), sound, reads, strict=True):
            slots[i].add(token, read, stop=token in self.stops, sound=good)
        tokens = torch.zeros(len(slots), dtype=torch.long, device=ids.device)
        tokens[live] = ids
        return tokens

    def _read(self, logits: Any, chosen: Any, top: int) -> list[TokenLogprob]:
        """Log-probs (nats) of the chosen ids (N,) and the ``top`` likeliest (-1: all), from logits (N, V).

        Worked in slices, so that the float32 copies stay within the budget. NaN where the logits are not finite.
        """
        size = len(self.pieces)
        k = size if top < 0 or top >= size else top
        step = max(1, self.budget // (12 * size))
        out: list[TokenLogprob] = []
        for start in range(0, len(logits), step):
            part = logits[start : start + step].float()
            total = part.logsumexp(-1, keepdim=True)
            total = total.masked_fill(~total.isfinite(), float("nan"))
            picked = (part.gather(1, chosen[start : start + step, None]) - total)[:, 0].tolist()
            values: list[list[float]] = [[]] * len(part)
            names: list[list[int]] = [[]] * len(part)
            if k:
                best, ids = part.topk(k, dim=-1)
                values, names = (best - total).tolist(), ids.tolist()
            rows = zip(chosen[start : start + step].tolist(), picked, values, names, strict=True)
            for token, logprob, listed, ids in rows:
                # Two ids may spell the same bytes ("A" and <0x41>): a reader keyed by bytes must meet the likelier one.
                top_of: dict[bytes, float] = {}
                for i, value in zip(ids, listed, strict=True):
                    top_of.setdefault(self.pieces[i], value)
                floor = listed[-1] if 0 < k < size else None
                out.append(TokenLogprob(self.pieces[token], logprob, tuple(top_of.items()), floor))
        return out

    def _padded(self, length: int) -> int:
        rounded = -(-length // _LENGTH_STEP) * _LENGTH_STEP
        return rounded if self.context is None else max(length, min(rounded, self.context))

    def _right(self, rows: Sequence[Sequence[int]]) -> Any:
        """Ids (B, T) padded on the right: under causal attention no token sees the padding, so no mask is needed."""
        import torch

        width = self._padded(max(map(len, rows)))
        # Padding with the row's own last token, since some models warn about pad tokens without a mask.
        return torch.tensor([[*r, *[r[-1]] * (width - len(r))] for r in rows], device=self.model.device)

    def _left(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Ids and mask (B, T) padded on the left, so that all rows write their next token into the same column."""
        import torch

        width = self._padded(max(map(len, rows)))
        ids = [[*[r[0]] * (width - len(r)), *r] for r in rows]
        mask = [[0] * (width - len(r)) + [1] * len(r) for r in rows]
        return torch.tensor(ids, device=self.model.device), torch.tensor(mask, device=self.model.device)


def draw(logits: Any, jobs: Sequence[Job]) -> tuple[Any, list[bool]]:
    """Token ids (B,) drawn from logits (B, V), and whether each row was finite.

    Inverse CDF in float64 with one uniform a row and step from the job's own generator: what is drawn for a row
    depends on that row alone. Temperature 0 takes the likeliest token.
    """
    import torch

    def column(values: list[float]) -> Any:
        return torch.tensor(values, dtype=torch.float64, device=logits.device)[:, None]

    heat = column([job.temperature for job in jobs])
    p = (logits.double() / torch.where(heat > 0, heat, 1.0)).softmax(-1)
    if any(job.top_p < 1 for job in jobs):
        p = _nucleus(p, column([job.top_p for job in jobs]))
    cdf = p.cumsum(-1)
    u = column([0.5 if job.rng is None else job.rng.random() for job in jobs])
    ids = torch.searchsorted(cdf, u * cdf[:, -1:], right=True)[:, 0].clamp(max=logits.shape[1] - 1)
    ids = torch.where(heat[:, 0] > 0, ids, logits.argmax(-1))
    return ids, cdf[:, -1].isfinite().tolist()


def _nucleus(p: Any, top_p: Any) -> Any:
    """``p`` (B, V) with everything outside the smallest set of mass ``top_p`` (B, 1) set to 0; rows with 1 as are."""
    import torch

    order = p.sort(dim=-1, descending=True, stable=True)
    before = order.values.cumsum(-1) - order.values
    kept = order.values.masked_fill(before >= top_p.clamp(min=1e-9), 0.0)
    return torch.where(top_p < 1, torch.zeros_like(p).scatter(1, order.indices, kept), p)


def load_model(source: Source) -> LocalModel:
    """Load tokenizer and weights: safetensors or GGUF, never code from the model. Errors: `UnavailableError`."""
    import torch

    device = source.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    where: dict[str, Any] = {"gguf_file": source.gguf} if source.gguf else {}
    where |= {"local_files_only": True} if source.folder else {"revision": source.revision}
    with _quiet():
        try:
            tokenizer, model = _from_pretrained(str(source.folder or source.name), where, source.dtype)
            model = model.to(device).eval().requires_grad_(False)
        except BackendError:
            raise
        except ModuleNotFoundError:
            raise
        except Exception as error:  # from_pretrained raises whatever the libraries below it raise
            detail = " ".join(str(error).split())[:300]
            raise UnavailableError(f"{source.name} can't be loaded ({type(error).__name__}: {detail})") from error
    head = model.get_output_embeddings()
    config = model.config.get_text_config()
    size = int(config.vocab_size if head is None else head.weight.shape[0])
    stops = (getattr(model.generation_config, "eos_token_id", None), config.eos_token_id, tokenizer.eos_token_id)
    context = getattr(config, "max_position_embeddings", None)
    return LocalModel(
        model, tokenizer, byte_table(tokenizer, size), context=None if context is None else int(context),
        stops=frozenset(i for s in stops for i in (s if isinstance(s, list) else [s]) if i is not None),
        identity=_identity(model),
    )  # fmt: skip


def _from_pretrained(place: str, where: Mapping[str, Any], dtype: str | None) -> tuple[Any, Any]:
    """Tokenizer and model on the CPU; weights that the file lacks are an error, because they would be random."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False, **where)
    model, info = AutoModelForCausalLM.from_pretrained(
        place, trust_remote_code=False, use_safetensors=True, output_loading_info=True,
        dtype=getattr(torch, dtype) if dtype else "auto", **where,
    )  # fmt: skip
    lacking = sorted([*info["missing_keys"], *map(str, info["mismatched_keys"])])
    if lacking:
        raise UnavailableError(f"{place}: the weights lack {len(lacking)} tensors of the model, first {lacking[0]}")
    quantised = getattr(model, "quantization_method", None) is not None  # may not be cast; GGUF is unpacked to float32
    if dtype is None and not quantised and model.num_parameters() <= _SMALL:
        model = model.float()
    return tokenizer, model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No log lines, progress bars or warnings of the libraries while loading; everything as before afterwards."""
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging

    try:
        from transformers import modeling_gguf_pytorch_utils as gguf
    except ImportError:  # newer versions unpack elsewhere
        gguf = SimpleNamespace(tqdm=None)
    levels = logging.get_verbosity(), hub.get_verbosity()
    bars, tqdm = logging.is_progress_bar_enabled(), gguf.tqdm
    logging.set_verbosity(logging.CRITICAL)
    hub.set_verbosity(logging.CRITICAL)  # it tells every retry of a hub that can't be reached
    logging.disable_progress_bar()
    gguf.tqdm = lambda rows, *args, **kwargs: rows  # this one asks nobody whether bars are wanted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(levels[0])
        hub.set_verbosity(levels[1])
        if bars:
            logging.enable_progress_bar()
        gguf.tqdm = tqdm


def _identity(model: Any) -> str:
    """SHA-256 over the first values of every tensor: tells models apart at no cost, wherever their files lie."""
    parts = []
    for name, tensor in sorted(model.state_dict().items()):
        parts.append(f"{name} {tuple(tensor.shape)} {tensor.flatten()[:16].double().tolist()}")
    return sha256("\n".join(parts).encode())


def byte_table(tokenizer: Any, size: int) -> tuple[bytes, ...]:
    """Id -> the bytes that the token stands for, for ids below ``size``.

    Byte-level vocabularies write bytes as letters (U+0120 for a space), SentencePiece ones U+2581 for a space and
    <0xNN> for a byte; added and special tokens are their own text. Rows of the output layer without a token, which
    only pad it, get a name of their own.
    """
    style = _style(tokenizer)
    letters = {char: byte for byte, char in enumerate(_byte_letters())}
    table = [f"<unused {i}>".encode() for i in range(size)]
    for piece, i in tokenizer.get_vocab().items():
        if i >= size:
            continue
        if style == "byte-level" and all(char in letters for char in piece):
            table[i] = bytes(letters[char] for char in piece)
        elif style == "sentencepiece" and (code := re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", piece)):
            table[i] = bytes([int(code[1], 16)])
        else:
            table[i] = (piece.replace("\u2581", " ") if style == "sentencepiece" else piece).encode()
    for i, token in tokenizer.added_tokens_decoder.items():
        if i < size:
            table[i] = token.content.encode()
    return tuple(table)


def _style(tokenizer: Any) -> str:
    """How the vocabulary spells bytes, from the tokenizer's decoder; "plain" if it spells none."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return "sentencepiece" if hasattr(tokenizer, "sp_model") else "byte-level"
    decoder = json.loads(backend.to_str())["decoder"] or {}
    kinds = {step["type"] for step in decoder.get("decoders", [decoder]) if "type" in step}
    if "ByteLevel" in kinds:
        return "byte-level"
    spells = kinds & {"Metaspace", "ByteFallback"} or "\u2581" in json.dumps(decoder, ensure_ascii=False)
    return "sentencepiece" if spells else "plain"


def _byte_letters() -> list[str]:
    """GPT-2's letter for each of the 256 bytes: printable Latin-1 is itself, the rest follows from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return [chr(b) if b in plain else chr(256 + rest.index(b)) for b in range(256)]
