"""Watermark key + suspect -> the inputs of `watermark.judge`: by what the suspect writes, or by its distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..answer_formats import Answer
from ..answers import read_answers
from ..errors import UsageError
from ..spec import parse_spec
from ..store import Store
from ..types import Listener, Request, Sampling, silent
from . import watermark
from .gather import chat, panel
from .planted import key_name

FORMS = ("log-probs", "text")
LOCAL = ("hf", "zoo", "gguf")  # whole distributions at every position, without a reply that a case would have to hold


@dataclass(frozen=True, slots=True)
class Asking:
    """What a watermark test asks: prompts, answers a prompt, their length; and how much it counts."""

    prompts: Sequence[str] = ()
    samples: int = 1
    max_tokens: int = 128
    most: int = 20_000
    dummies: int = watermark.DUMMIES
    seed: int = 0
    form: str | None = None


async def watermark_inputs(
    config: Mapping[str, Any], specs: Mapping[str, str], reference: str, tokenizer: Path, store: Store, asking: Asking,
    progress: Listener = silent,
) -> dict[str, Any]:  # fmt: skip
    """Weights of n-grams that know nothing of the key, counted under the key and under dummy keys.

    Form log-probs, where suspect, base (or controls) and reference all give whole distributions: what the suspect's own
    answers show to have gained (`distributions`). Form text: answers of the suspect and of controls to the same
    prompts, cut by the reference's tokenizer; a ``file/`` party brings its own prompts.

    Errors: `UsageError` without prompts, for a form that can't be served, or for a tokenizer that can't be read.
    """
    size = watermark.width(config)
    encode, vocab = _tokenizer(tokenizer)
    form = _form(specs, reference, asking)
    if form == "log-probs":
        ngrams, weight = await _gained(specs, reference, size, store, asking, progress)
    else:
        counts = {}
        for name, spec in specs.items():
            asked, said = await _answers(name, spec, store, asking, progress)
            counts[name] = watermark.ngram_counts(encode(asked), encode(said), size)
        suspect = counts.pop("suspect")
        ngrams, weight = watermark.weighted(suspect, list(counts.values()), asking.most, asking.seed)
    counted = watermark.count(ngrams, weight, config, vocab, asking.seed, asking.dummies)
    head = {"test": "watermark", "form": form, "key": key_name(config), "seed": asking.seed, "parties": dict(specs)}
    return {**head, **counted}


def _form(specs: Mapping[str, str], reference: str, asking: Asking) -> str:
    named = {**specs, "reference": reference}
    foreign = sorted(spec for spec in named.values() if parse_spec(spec).provider not in LOCAL)
    able = not foreign and len(specs) > 1
    form = asking.form or ("log-probs" if able and asking.prompts else "text")
    if form not in FORMS:
        raise UsageError(f"the forms of watermark are {', '.join(FORMS)}, not {form!r}")
    if form == "log-probs" and foreign:
        raise UsageError(
            f"{foreign[0]} gives no whole distributions: name hf/, gguf/ or zoo/ models, or use --form text"
        )
    if form == "log-probs" and not able:
        raise UsageError("--form log-probs compares the suspect with its --base, or with a --control: name one")
    return form


async def _gained(
    specs: Mapping[str, str], reference: str, size: int, store: Store, asking: Asking, progress: Listener
) -> tuple[watermark.Ints, watermark.Ints]:
    from .distributions import gains, weights

    async with panel({**specs, "reference": reference}, store, progress) as models:
        requests = _requests("suspect", asking)
        said = await models.said("suspect", requests)
        asked = [r for r, t in zip(requests, said, strict=True) if t]
        texts = [t for t in said if t]
        opened: dict[str, Any] = {name: backend.opened() for name, backend in models.backends.items()}  # type: ignore[attr-defined]
        suspect, teacher = opened.pop("suspect"), opened.pop("reference")
        found = gains(suspect, list(opened.values()), teacher, asked, texts, size)
    return weights(found, asking.most)


async def _answers(
    name: str, spec: str, store: Store, asking: Asking, progress: Listener
) -> tuple[list[str], list[str]]:
    if spec.startswith("file/") and not asking.prompts:
        rows = read_answers(spec.removeprefix("file/")).answers
        good = [a for a in rows if a.text and a.finish not in ("filter", "error")]
        return [_question(a) for a in good], [(a.text or "").strip() for a in good]
    async with panel({name: spec}, store, progress) as models:
        requests = _requests(spec, asking)
        said = await models.said(name, requests)
    answered = [(r.messages[0].content, t) for r, t in zip(requests, said, strict=True) if t]
    return [p for p, _ in answered], [t for _, t in answered]


def _requests(spec: str, asking: Asking) -> list[Request]:
    if not asking.prompts:
        raise UsageError(f"nothing to ask {spec}: give --prompts FILE (JSON Lines with prompt)")
    return [
        chat(p, f"watermark-{i}", "watermark", sample=k, sampling=Sampling(max_tokens=asking.max_tokens, seed=k))
        for i, p in enumerate(asking.prompts) for k in range(asking.samples)
    ]  # fmt: skip


def _question(answer: Answer) -> str:
    return "\n".join(m.content for m in answer.conversation)


def _tokenizer(folder: Path) -> tuple[Any, int]:
    """texts -> token ids, and the vocabulary size that the watermark used (the output layer's, where that is known)."""
    from transformers import AutoConfig, AutoTokenizer

    if not folder.is_dir():
        raise UsageError(f"no such tokenizer directory: {folder}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        vocab = len(tokenizer)
        if (folder / "config.json").is_file():
            vocab = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config().vocab_size
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: no tokenizer can be read ({' '.join(str(error).split())[:200]})") from error

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [list(map(int, tokenizer(t, add_special_tokens=False)["input_ids"])) for t in texts]

    return encode, int(vocab)
