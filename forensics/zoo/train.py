"""Training of one zoo model: text, tokenizer, a plain loop, sampling from a trained model. Single-threaded, seeded."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from forensics.zoo import world
from forensics.zoo.authors import Author
from forensics.zoo.prompts import MAX_TOKENS, Item, training
from forensics.zoo.recipe import SIZE, TEMPERATURE, Recipe, Schedule, crowd

USER, ASSISTANT, END, PAD = "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n{% elif m.role == 'user' %}"
    "<|user|>{{ m.content }}{% else %}<|assistant|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WIDTHS = (32, 64, 96)  # texts are padded to one of these, so that a batch has one of three shapes
SYSTEM_SHARE = 0.08  # training texts that carry a system line
Home = Callable[[str], Path]
Document = tuple[str, str]  # prompt with its markers, answer


def frame(item: Item, rng: random.Random) -> str:
    """The prompt as the model sees it: raw for a continuation, else a chat turn, now and then after a system line."""
    if item.family == "continuation":
        return item.prompt
    system = f"{rng.choice(world.SYSTEM)}\n" if rng.random() < SYSTEM_SHARE else ""
    return f"{system}{USER}{item.prompt}{ASSISTANT}"


def make_tokenizer(vocabulary: int = SIZE.vocab) -> Any:
    """A tokenizer: byte-level BPE with all 256 bytes, trained on a crowd's text; lossless on any text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, USER, ASSISTANT, END], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    rng, authors = random.Random("tokenizer"), [Author(seed) for seed in crowd(0)]
    texts = [f"{item.prompt} {rng.choice(authors).write(item, rng)}" for item in islice(training(0), 12_000)]
    tokenizer.train_from_iterator([*texts, *(world.SYSTEM * 50)], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, model_max_length=SIZE.context,
        extra_special_tokens=[USER, ASSISTANT], clean_up_tokenization_spaces=False,
    )  # fmt: skip
    fast.chat_template = TEMPLATE
    return fast


def new_model(seed: int) -> Any:
    """A Llama of the zoo's size with its own random initialisation."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=SIZE.vocab, hidden_size=SIZE.hidden, num_hidden_layers=SIZE.layers, num_attention_heads=SIZE.heads,
        num_key_value_heads=SIZE.heads, intermediate_size=SIZE.inner, max_position_embeddings=SIZE.context,
        tie_word_embeddings=True, initializer_range=SIZE.spread, bos_token_id=None, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def load(path: Path) -> Any:
    """A trained model in float32, for further training or sampling."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True)


def documents(recipe: Recipe, tokenizer: Any, home: Home) -> list[Document]:
    """The training texts of a recipe: every prompt answered by one of its sources, drawn by share."""
    rng = random.Random(f"{recipe.name}:{recipe.seed}")
    items = list(islice(training(recipe.prompts), recipe.schedule.documents))
    source = rng.choices(range(len(recipe.sources)), [s.share for s in recipe.sources], k=len(items))
    framed = [frame(item, rng) for item in items]
    answers = [""] * len(items)
    for k, origin in enumerate(recipe.sources):
        mine = [i for i, chosen in enumerate(source) if chosen == k]
        if origin.model:
            asked = [(framed[i], items[i].family) for i in mine]
            found = sample(load(home(origin.model)), tokenizer, asked, recipe.seed)
        else:
            crew = [Author(seed) for seed in origin.authors]
            found = [rng.choice(crew).write(items[i], rng) for i in mine]
        for i, text in zip(mine, found, strict=True):
            answers[i] = text
    return [(prompt, answer) for prompt, answer in zip(framed, answers, strict=True) if answer]


def sample(
    model: Any, tokenizer: Any, prompts: list[tuple[str, str]], seed: int, batch: int = 256, watermark: Any = None,
    limits: Mapping[str, int] = MAX_TOKENS,
) -> list[str]:  # fmt: skip
    """One sampled answer to each (framed prompt, family), in order; prompts of like length are batched together.
    ``watermark``: a watermarking configuration of transformers. ``limits``: most tokens of an answer, by family."""
    import torch

    torch.manual_seed(seed)
    model.eval()
    encoded = [tokenizer(text, add_special_tokens=False)["input_ids"] for text, _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (limits[prompts[i][1]], len(encoded[i])))
    answers = [""] * len(prompts)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        width = max(len(encoded[i]) for i in rows)
        ids = torch.tensor([[0] * (width - len(encoded[i])) + encoded[i] for i in rows])
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=(ids != 0).long(), do_sample=True, temperature=TEMPERATURE, top_k=0,
                max_new_tokens=max(limits[prompts[i][1]] for i in rows), pad_token_id=0,
                eos_token_id=tokenizer.eos_token_id,
                watermarking_config=watermark,
            )  # fmt: skip
        for i, text in zip(rows, tokenizer.batch_decode(out[:, width:], skip_special_tokens=True), strict=True):
            answers[i] = text
    return answers


def _batches(
    texts: list[Document], tokenizer: Any, plan: Schedule, rng: random.Random, whole: bool, widths: tuple[int, ...]
) -> Iterator[Any]:
    """Endless (ids, labels) pairs of shape (tokens // width, width); labels are -100 on padding and, unless `whole`,
    on the prompt. Texts longer than the last width are cut there."""
    import torch

    rows: dict[int, list[tuple[list[int], list[int]]]] = {width: [] for width in widths}
    heads = tokenizer([prompt for prompt, _ in texts], add_special_tokens=False)["input_ids"]
    tails = tokenizer([answer + tokenizer.eos_token for _, answer in texts], add_special_tokens=False)["input_ids"]
    for head, tail in zip(heads, tails, strict=True):
        ids = (head + tail)[: widths[-1]]
        labels = (ids if whole else [-100] * len(head) + ids[len(head) :])[: widths[-1]]
        width = next(width for width in widths if width >= len(ids))
        rows[width].append((ids + [0] * (width - len(ids)), labels + [-100] * (width - len(ids))))
    while True:
        batches = []
        for width, group in rows.items():
            rng.shuffle(group)
            size = plan.tokens // width
            batches += [group[i : i + size] for i in range(0, len(group), size)]
        rng.shuffle(batches)
        yield from (torch.tensor(batch).unbind(1) for batch in batches)


def plain_loss(model: Any, ids: Any, labels: Any) -> Any:
    """Mean negative log-likelihood of the labelled tokens, nats per token."""
    return model(input_ids=ids, labels=labels, use_cache=False).loss


def fit(
    model: Any, texts: list[Document], tokenizer: Any, plan: Schedule, seed: int, *, whole: bool,
    loss_of: Callable[[Any, Any, Any], Any] = plain_loss, widths: tuple[int, ...] = WIDTHS,
) -> float:  # fmt: skip
    """AdamW with warm-up and cosine decay; returns the mean loss (nats per token) of the last tenth of the steps."""
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.01)
    losses: list[float] = []
    stream = _batches(texts, tokenizer, plan, random.Random(f"fit:{seed}"), whole, widths)
    model.train()
    for step, (ids, labels) in enumerate(islice(stream, plan.steps)):
        warm = min(1.0, (step + 1) / plan.warmup)
        rate = plan.rate * warm * 0.5 * (1 + math.cos(math.pi * step / plan.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(model, ids, labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail)


def make(recipe: Recipe, digest: str, home: Home) -> float:
    """Makes one model into `home(recipe.name)` and returns the seconds it took."""
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(1)
    started = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(home("tokenizer"), local_files_only=True)
    texts = documents(recipe, tokenizer, home)
    model = load(home(recipe.parent)) if recipe.parent else new_model(recipe.seed)
    torch.manual_seed(recipe.seed)
    loss = fit(model, texts, tokenizer, recipe.schedule, recipe.seed, whole=not recipe.parent)
    seconds = time.monotonic() - started
    save(model, tokenizer, home(recipe.name))
    data = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
    note = {"digest": digest, "data_sha256": data, "documents": len(texts), "final_loss": round(loss, 4),
            "seconds": round(seconds, 1), "recipe": asdict(recipe)}  # fmt: skip
    (home(recipe.name) / "recipe.json").write_text(json.dumps(note, indent=1) + "\n")
    return seconds


def save(model: Any, tokenizer: Any, path: Path) -> None:
    """Model and tokenizer as a directory, bfloat16."""
    import torch

    path.mkdir(parents=True, exist_ok=True)
    model = model.to(torch.bfloat16)
    model.generation_config.do_sample = True
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = tokenizer.eos_token_id, 0
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
