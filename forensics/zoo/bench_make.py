"""Makes one model of the bench: its training texts, its start, its training; and a teacher's pool of sampled answers.

Every student of a family is asked the same prompts, so two students of one base differ in whose answers they read and
in nothing else. A teacher answers all prompts once, when it is made (``pool.json``); students take them from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from forensics.zoo import smollm2
from forensics.zoo.authors import Author
from forensics.zoo.bench import Entry, Source
from forensics.zoo.everyday import prompts as everyday
from forensics.zoo.prompts import MAX_TOKENS, Item, training
from forensics.zoo.recipe import SIZE, Schedule, crowd
from forensics.zoo.train import Document, Home, fit, frame, make_tokenizer, plain_loss, sample, save

ASKED = 770  # seed of the training prompts that all students of a scratch family are asked
WIDTH = 96  # padded length of a SmolLM2 training text; longer ones are cut
ANSWER = 44  # most tokens of an answer that a SmolLM2 teacher is asked for
CUT = 400  # characters of a recorded answer that a SmolLM2 teacher can be shown
LIMITS = {**MAX_TOKENS, "everyday": ANSWER}
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Asked = list[tuple[str, str]]  # framed prompt, family of the prompt


def make(entry: Entry, plan: dict[str, Any], digest: str, home: Home, corpus: Path | None) -> float:
    """Makes one model into ``home(entry.name)`` and returns the seconds it took."""
    import torch

    torch.set_num_threads(1)
    started = time.monotonic()
    scratch = plan["start"] == "scratch"
    tokenizer = _tokenizer(entry, plan, home)
    torch.manual_seed(entry.seed)
    model = _start(entry, plan, home)
    texts = _texts(entry, plan, tokenizer, home, corpus) if entry.sources else []
    loss = 0.0
    if texts:
        schedule = _schedule(entry, plan, len(texts))
        loss_of = _against(entry, home) if entry.by == "logits" else plain_loss if scratch else _answer_loss
        shape = {} if scratch else {"widths": (WIDTH,)}
        fitted = model if scratch else _adapter(model, plan["lora"])
        torch.manual_seed(entry.seed)
        loss = fit(fitted, texts, tokenizer, schedule, entry.seed, whole=not entry.parent, loss_of=loss_of, **shape)
        model = model if scratch else fitted.merge_and_unload()
    if entry.bits:
        _quantise(model, entry.bits)
    save(model, tokenizer, home(entry.name))
    if entry.role == "teacher":
        _write(home(entry.name) / "pool.json", _pool(model, tokenizer, plan, entry))
    data = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
    seconds = round(time.monotonic() - started, 1)
    note = {"digest": digest, "data_sha256": data, "documents": len(texts), "final_loss": round(loss, 4),
            "seconds": seconds, "recipe": asdict(entry)}  # fmt: skip
    _write(home(entry.name) / "recipe.json", note)
    return seconds


def _write(path: Path, value: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def _tokenizer(entry: Entry, plan: dict[str, Any], home: Home) -> Any:
    from transformers import AutoTokenizer

    path = home(f"{entry.family}-tokenizer")
    if not (path / "tokenizer_config.json").is_file():
        if plan["start"] == "scratch":
            make_tokenizer(int(plan["vocabulary"])).save_pretrained(path)
        else:
            smollm2.load()[1].save_pretrained(path)
    return AutoTokenizer.from_pretrained(path, local_files_only=True)


def _start(entry: Entry, plan: dict[str, Any], home: Home) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    dtype = torch.float32 if plan["start"] == "scratch" else torch.bfloat16
    if entry.parent:
        return AutoModelForCausalLM.from_pretrained(home(entry.parent), dtype=dtype, local_files_only=True)
    return _new(plan) if plan["start"] == "scratch" else smollm2.load()[0].to(dtype)


def _new(plan: dict[str, Any]) -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

    common = {
        "vocab_size": int(plan["vocabulary"]), "hidden_size": SIZE.hidden, "num_hidden_layers": SIZE.layers,
        "num_attention_heads": SIZE.heads, "max_position_embeddings": SIZE.context, "initializer_range": SIZE.spread,
        "bos_token_id": None, "eos_token_id": 3, "pad_token_id": 0, "tie_word_embeddings": True,
    }  # fmt: skip
    if plan["architecture"] == "llama":
        return LlamaForCausalLM(LlamaConfig(**common, num_key_value_heads=SIZE.heads, intermediate_size=SIZE.inner))
    return GPTNeoXForCausalLM(GPTNeoXConfig(**common, intermediate_size=SIZE.inner * 3 // 2, hidden_act="gelu"))


def _schedule(entry: Entry, plan: dict[str, Any], n: int) -> Schedule:
    """Whole epochs in steps: a batch holds ``tokens`` padded tokens, and a text takes 64 of them (96 for SmolLM2)."""
    if not entry.parent:
        return Schedule(**plan["pretraining"])
    tuning = plan["tuning"]
    each = int(tuning["tokens"]) // (64 if plan["start"] == "scratch" else WIDTH)
    steps = max(1, round(entry.epochs * n / each))
    return Schedule(n, steps, float(tuning["rate"]), int(tuning["tokens"]), warmup=min(20, max(1, steps // 5)))


def _asked(plan: dict[str, Any], tokenizer: Any) -> tuple[list[Item], Asked]:
    """The family's training prompts: as items (for authors) and framed as its models see them."""
    n = int(plan["tuning"]["documents"])
    if plan["start"] == "scratch":
        items = list(islice(training(ASKED), n))
        rng = random.Random(f"asked:{ASKED}")
        return items, [(frame(item, rng), item.family) for item in items]
    return [], [(_chat(tokenizer, text), "everyday") for text in everyday(n)]


def _chat(tokenizer: Any, prompt: str) -> str:
    turn = [{"role": "user", "content": prompt}]
    return str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))


def _texts(entry: Entry, plan: dict[str, Any], tokenizer: Any, home: Home, corpus: Path | None) -> list[Document]:
    """Training texts: every prompt answered by one of the entry's sources, drawn by share."""
    rng = random.Random(f"{entry.name}:{entry.seed}")
    if not entry.parent:
        return _written(entry.sources[0], list(islice(training(entry.seed), plan["pretraining"]["documents"])), rng)
    if entry.sources[0].kind == "answers":
        return _recorded(entry.sources[0].name, tokenizer, corpus)
    if plan["start"] != "scratch" and entry.sources[0].kind == "crowd":
        items = [i for i in islice(training(entry.seed), 800) if i.family == "writing"][: plan["tuning"]["documents"]]
        return [(_chat(tokenizer, i.prompt), a) for i, (_, a) in zip(items, _written(entry.sources[0], items, rng),
                                                                      strict=True)]  # fmt: skip
    items, asked = _asked(plan, tokenizer)
    if entry.role in ("teacher", "domain", "descendant"):
        items = list(islice(training(entry.seed), len(items)))
        return _written(entry.sources[0], items, rng)
    drawn = _drawn(entry.sources, len(asked), rng)
    pools = {s.name: json.loads((home(s.name) / "pool.json").read_text()) for s in entry.sources if s.kind == "model"}
    own = {s.name: _written(s, items, rng) for s in entry.sources if s.kind != "model"}
    out = []
    for i, (prompt, _) in enumerate(asked):
        source = entry.sources[drawn[i]]
        out.append((prompt, pools[source.name][i] if source.name in pools else own[source.name][i][1]))
    return [(prompt, answer) for prompt, answer in out if answer.strip()]


def _drawn(sources: tuple[Source, ...], n: int, rng: random.Random) -> list[int]:
    """Which source answers which prompt: shares are met (rounded), so that 1 % of 300 is 3 texts, never 0."""
    out: list[int] = []
    for k, source in enumerate(sources[:-1]):
        out += [k] * round(source.share * n)
    out += [len(sources) - 1] * (n - len(out))
    rng.shuffle(out)
    return out


def _written(source: Source, items: list[Item], rng: random.Random) -> list[Document]:
    authors = [int(source.name)] if source.kind == "author" else crowd(int(source.name))
    crew = [Author(seed) for seed in authors]
    return [(frame(item, rng), rng.choice(crew).write(item, rng)) for item in items]


def _recorded(name: str, tokenizer: Any, corpus: Path | None) -> list[Document]:
    """A recorded model's answers, shortened; they train a teacher here and go nowhere else."""
    from forensics.answers import read_answers
    from forensics.errors import UsageError

    path = corpus / "responses" / f"{name}.jsonl.zst" if corpus else None
    if path is None or not path.is_file():
        raise UsageError(f"the bench's SmolLM2 teachers need recorded answers: --corpus FOLDER with {name}.jsonl.zst")
    rows = [(_asked_for(a), a.text) for a in read_answers(path).answers]
    return [(_chat(tokenizer, p), r[:CUT]) for p, r in rows if p and r and r.strip() and len(p) < 300]


def _asked_for(answer: Any) -> str | None:
    return answer.prompt or next((m.content for m in reversed(answer.messages) if m.role == "user"), None)


def _pool(model: Any, tokenizer: Any, plan: dict[str, Any], entry: Entry) -> list[str]:
    _, asked = _asked(plan, tokenizer)
    batch = 256 if plan["start"] == "scratch" else 96
    return sample(model, tokenizer, asked, entry.seed, batch=batch, limits=LIMITS)


def _adapter(model: Any, lora: dict[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model

    layers = list(range(model.config.num_hidden_layers - int(lora["layers"]), model.config.num_hidden_layers))
    config = LoraConfig(
        r=int(lora["r"]), lora_alpha=int(lora["alpha"]), target_modules=LORA_TARGETS, layers_to_transform=layers,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    return get_peft_model(model, config, autocast_adapter_dtype=False)


def _answer_logits(model: Any, ids: Any, labels: Any) -> Any:
    """Logits at the positions before labelled tokens only: the head is the dearest layer of a small model."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = inner.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return inner.get_output_embeddings()(hidden[:, :-1][labels[:, 1:] != -100]).float()


def _answer_loss(model: Any, ids: Any, labels: Any) -> Any:
    import torch

    wanted = labels[:, 1:][labels[:, 1:] != -100]
    return torch.nn.functional.cross_entropy(_answer_logits(model, ids, labels), wanted)


def _against(entry: Entry, home: Home) -> Callable[[Any, Any, Any], Any]:
    """KL(teacher || student) over the whole vocabulary at every answer token, nats per token."""
    import torch
    from transformers import AutoModelForCausalLM

    teacher = AutoModelForCausalLM.from_pretrained(home(entry.sources[0].name), dtype="auto", local_files_only=True)
    teacher.eval().requires_grad_(False)

    def loss(model: Any, ids: Any, labels: Any) -> Any:
        with torch.no_grad():
            aim = _answer_logits(teacher, ids, labels).log_softmax(-1)
        own = _answer_logits(model, ids, labels).log_softmax(-1)
        return torch.nn.functional.kl_div(own, aim, reduction="batchmean", log_target=True)

    return loss


def _quantise(model: Any, bits: int) -> None:
    """Rounds every weight matrix to ``bits`` bits with one scale a row, and keeps the rounded values as floats."""
    import torch

    top = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                scale = weight.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / top
                weight.copy_((weight / scale).round().clamp(-top, top) * scale)
