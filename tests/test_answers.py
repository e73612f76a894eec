"""Reading files of recorded answers, and pairing them."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import random
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.answers import AnswerFile, Limits, each_answer, read_answers
from forensics.backends import open_backend
from forensics.errors import ForensicsError, UsageError
from forensics.pairing import UNRECORDED, item_keys, pair
from forensics.spec import parse_spec
from forensics.types import Message, Sampling, sha256

CORPUS = Path(__file__).parents[1] / ".." / "shared" / "corpora" / "alpaca_eval_dev" / "responses"
ROWS = [
    {"prompt": "Name a river.", "response": "The Rhine."},
    {"prompt": "Назови реку.", "response": "Волга — 伏尔加河 🌊"},
    {"prompt": "Name a stone.", "response": "Basalt."},
]


def lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Bytes, or rows as JSON Lines, as a file whose name says nothing."""
    counter = iter(range(100))

    def _write(data: bytes | list[Any]) -> Path:
        path = tmp_path / f"file{next(counter)}"
        path.write_bytes(lines(data) if isinstance(data, list) else data)
        return path

    return _write


def texts(file: AnswerFile) -> list[str | None]:
    return [a.text for a in file.answers]


# -- our own form


def test_our_own_lines_with_everything_optional(write: Any) -> None:
    top = [{"token": "B", "bytes": [66], "logprob": -1.5}, {"token": "A", "bytes": None, "logprob": -0.25}]
    row = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "id": 7, "sample": 2, "system": "Be brief.", "response": "A", "finish_reason": "max_tokens",
        "extra": [float("nan")],
        "sampling": {"temperature": 0.5, "top_p": 1, "max_tokens": 9, "seed": 3, "top_k": 4},
        "logprobs": {"content": [{"token": "A", "bytes": None, "logprob": -0.25, "top_logprobs": top}]},
    }  # fmt: skip
    path = write([row])
    file = read_answers(path)
    assert (file.path, file.format, file.skipped) == (str(path), "jsonl", ())
    assert file.digest == sha256(path.read_bytes())
    (answer,) = file.answers
    assert (answer.id, answer.sample, answer.text, answer.finish, answer.line) == ("7", 2, "A", "length", 1)
    assert answer.sampling == Sampling(0.5, 1.0, 9, 3)
    assert answer.conversation == (Message("system", "Be brief."), Message("user", "Hi"))
    (token,) = answer.tokens
    assert (token.token, token.logprob, token.floor) == (b"A", -0.25, -1.5)
    assert token.top == ((b"A", -0.25), (b"B", -1.5))


def test_a_log_prob_list_without_alternatives_claims_no_floor(write: Any) -> None:
    file = read_answers(write([{"prompt": "p", "response": "A", "logprobs": [{"token": "é", "logprob": -1}]}]))
    (token,) = file.answers[0].tokens
    assert (token.token, token.top, token.floor) == ("é".encode(), (), None)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gz", "zst"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_packed_or_not_the_answers_are_the_same(write: Any, pack: Any, bom: bytes, end: bytes) -> None:
    path = write(pack(bom + lines(ROWS).replace(b"\n", end) + end * 2))
    file = read_answers(path)
    assert texts(file) == [r["response"] for r in ROWS]
    assert [a.line for a in file.answers] == [1, 2, 3]
    assert file.digest == sha256(path.read_bytes())  # as stored, not as unpacked


def test_several_gzip_members_and_zstd_frames_are_read_to_the_end(write: Any) -> None:
    for pack in (gzip.compress, zstandard.compress):
        assert len(read_answers(write(b"".join(pack(lines([r])) for r in ROWS))).answers) == 3


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_packed_file_that_was_cut_off_is_no_shorter_file(write: Any, pack: Any, skip_bad: bool) -> None:
    rows = [{"prompt": str(i), "response": f"{random.Random(i).getrandbits(4000):x}"} for i in range(300)]
    data = pack(lines(rows))
    for kept in (len(data) * 3 // 4, len(data) - 1):
        with pytest.raises(UsageError, match="can't be read to its end"):
            read_answers(write(data[:kept]), skip_bad=skip_bad)


def test_empty_and_blocked_answers_are_kept_as_such(write: Any) -> None:
    rows = [
        {"prompt": "a", "response": ""},
        {"prompt": "b", "response": None, "finish_reason": "content_filter"},
        {"prompt": "c", "response": "half", "finish_reason": "SAFETY"},
    ]
    file = read_answers(write(rows))
    assert [(a.text, a.finish) for a in file.answers] == [("", "unknown"), (None, "filter"), ("half", "filter")]
    completions = pair({"suspect": file, "reference": file}).columns["suspect"]
    assert [c.usable for c in completions if c] == [False, False, False]
    assert [c.text for c in completions if c] == ["", None, "half"]


def test_an_answer_of_a_megabyte(write: Any) -> None:
    text = "Ω" * (1 << 19)
    assert texts(read_answers(write([{"prompt": "p", "response": text}, *ROWS])))[0] == text


def test_reading_keeps_nothing_but_the_answers(write: Any) -> None:
    rows = [{"prompt": str(i), "response": "x", "doc": "y" * 20_000} for i in range(1000)]
    path = write(gzip.compress(lines(rows), 1))
    del rows
    tracemalloc.start()
    try:
        read_answers(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20  # the file is 20 MB unpacked


# -- bad lines


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b'{"prompt": "x", "response": ', "not JSON"),
        (b'{"prompt": "x\xff", "response": "y"}', "not UTF-8 \\(byte 0xff\\)"),
        (b'{"prompt": "x", "response": "\\ud83d"}', "half a character"),
        (b'{"prompt": "x", "response": 5}', "response is not text"),
        (b'{"prompt": "x", "answer": "y"}', "no 'response'"),
        (b'{"prompt": 4, "response": "y"}', "prompt is not text"),
        (b'{"response": "y"}', "neither prompt nor messages nor id"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"messages": [], "response": "y"}', "list of messages"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image"}]}], "response": "y"}', "part that is not text"),
        (b'{"id": 1.5, "response": "y"}', "the id is neither"),
        (b'{"prompt": "x", "sample": -1, "response": "y"}', "sample is not"),
        (b'{"prompt": "x", "sample": true, "response": "y"}', "sample is not"),
        (b'{"prompt": "x", "response": "y", "sampling": {"temperature": NaN}}', "temperature is not"),
        (b'{"prompt": "x", "response": "y", "sampling": {"seed": 1e99}}', "seed is not"),
        (b'{"prompt": "x", "response": "y", "sampling": {"seed": 9007199254740992}}', "seed is not"),
        (b'{"prompt": "x", "response": "y", "logprobs": {"tokens": []}}', "OpenAI's"),
        (b'{"prompt": "x", "response": "y", "logprobs": [{"token": "a", "logprob": NaN}]}', "log-probability"),
        (b'{"prompt": "x", "response": "y", "logprobs": [{"token": "a", "logprob": -1, "bytes": 9}]}', "bytes"),
        (b'{"prompt": "x", "response": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"prompt": "x", "response": ' + b"9" * 5000 + b"}", "too long"),
    ],
)
def test_a_bad_line_is_an_error_with_its_number_or_is_counted(write: Any, bad: bytes, why: str) -> None:
    path = write(lines(ROWS) + b"\n" + bad + b"\n" + lines([{"prompt": "last", "response": "z"}]))
    with pytest.raises(UsageError, match=why) as caught:
        read_answers(path)
    assert str(caught.value).startswith(f"{path}:5: ")
    assert str(caught.value).endswith("; fix it or pass --skip-bad")
    assert "\n" not in str(caught.value)
    file = read_answers(path, skip_bad=True)
    assert len(file.answers) == 4
    assert len(file.skipped) == 1
    assert file.skipped[0].startswith(f"{path}:5: ")


def test_a_bad_first_line_does_not_decide_what_the_file_is(write: Any) -> None:
    file = read_answers(write(b"# notes\n" + lines([{"foo": 1}, {"response": "no key"}, *ROWS])), skip_bad=True)
    assert (file.format, len(file.answers), len(file.skipped)) == ("jsonl", 3, 3)


@pytest.mark.parametrize(
    "data", [b"", b"\n \r\n", b"\xef\xbb\xbf", b"[]", gzip.compress(b"", mtime=0), zstandard.compress(b"")]
)
def test_a_file_without_answers_is_an_error(write: Any, data: bytes) -> None:
    with pytest.raises(UsageError, match="no answers in this file"):
        read_answers(write(data))


def test_a_file_of_bad_lines_only_says_the_first(write: Any) -> None:
    with pytest.raises(UsageError, match=r"the first of 2 bad records is .*:1: not JSON"):
        read_answers(write(b"a\nb\n"), skip_bad=True)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file of answers"):
        read_answers(tmp_path / "missing")
    with pytest.raises(UsageError, match="not a plain file"):
        read_answers(tmp_path)
    with pytest.raises(UsageError, match="no such file of answers"):
        read_answers(Path("~no-such-user/answers.jsonl"))


@pytest.mark.parametrize("form", ["{}", "~/{}", "file/{}", "zoo/a?from={}"])
def test_a_name_longer_than_any_is_refused_in_one_line(form: str) -> None:  # found by atheris
    from forensics.backends import open_backend

    open_backend(parse_spec("hf/" + "x" * 5000))  # may be a hub id
    with pytest.raises(ForensicsError) as caught:
        open_backend(parse_spec(form.replace("{}", "x" * 5000)))
    assert "\n" not in str(caught.value)


def test_no_spec_holds_a_nul() -> None:
    for text in ("~a\0b/x", "hf/~a\0b/x", "a\0b"):  # found by atheris
        with pytest.raises(UsageError, match="holds a NUL"):
            parse_spec(text)


def test_a_home_that_nobody_has() -> None:
    with pytest.raises(UsageError, match="no such file of answers"):  # found by atheris
        parse_spec("~no-such-user/answers.jsonl")
    for spec in ("hf/~no-such-user/model", "gguf/~no-such-user/model.gguf"):
        with pytest.raises(ForensicsError):
            asyncio.run(open_backend(parse_spec(spec)).handshake())


def test_unpacked_size_is_limited(write: Any) -> None:
    bomb = b'{"prompt": "p", "response": "' + b"a" * (1 << 20) + b'"}\n'
    for pack in (bytes, gzip.compress, zstandard.compress):
        with pytest.raises(UsageError, match="more than 1,000 bytes"):
            read_answers(write(pack(bomb)), limits=Limits(total=1000))
    with pytest.raises(UsageError, match="more than 10 bytes"):
        read_answers(write(json.dumps(ROWS, indent=1).encode()), limits=Limits(document=10))


def test_a_line_that_is_too_long_is_bad_and_the_next_is_read(write: Any) -> None:
    path = write([ROWS[0], {"prompt": "p", "response": "a" * 300_000}, ROWS[2]])
    with pytest.raises(UsageError, match=":2: longer than 1,000 bytes"):
        read_answers(path, limits=Limits(line=1000))
    with pytest.raises(UsageError, match=":1: longer than 50 bytes"):
        read_answers(write(json.dumps(ROWS).encode()), limits=Limits(line=50))
    assert texts(read_answers(path, skip_bad=True, limits=Limits(line=1000))) == ["The Rhine.", "Basalt."]


def test_the_limits_themselves_are_allowed(write: Any) -> None:
    row = lines([ROWS[0]])
    assert len(read_answers(write(row), limits=Limits(total=len(row), line=len(row) - 1)).answers) == 1


# -- samples


def test_repeated_prompts_are_draws_in_order(write: Any) -> None:
    rows = [{"prompt": p, "response": r} for p, r in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")]]
    file = read_answers(write(rows))
    assert [(a.prompt, a.sample) for a in file.answers] == [("a", 0), ("b", 0), ("a", 1), ("a", 2)]
    assert file.skipped == ()


def test_unnumbered_draws_take_what_is_free(write: Any) -> None:
    rows = [{"id": "i", "response": "1"}, {"id": "i", "response": "2", "sample": 0}, {"id": "i", "response": "3"}]
    assert [a.sample for a in read_answers(write(rows)).answers] == [1, 0, 2]


def test_the_same_draw_given_twice_names_both_lines(write: Any) -> None:
    row = {"id": "i", "sample": 1, "prompt": "p", "response": "r"}
    path = write([*ROWS, row, row])
    with pytest.raises(UsageError, match=r":5: sample 1 of id 'i' is also at .*:4;"):
        read_answers(path)
    file = read_answers(path, skip_bad=True)
    assert (len(file.answers), len(file.skipped)) == (4, 1)


def test_one_at_a_time_they_are_the_same_answers(write: Any) -> None:
    rows = [{"prompt": "p", "response": str(i), "sample": i} for i in range(3)]
    path = write([*rows, rows[1], {"id": "x", "prompt": "a", "response": "r", "sample": 0}])
    with pytest.raises(UsageError, match=r":4: sample 1 of the prompt is also at .*:2"):
        list(each_answer(path))
    assert tuple(each_answer(path, skip_bad=True)) == read_answers(path, skip_bad=True).answers
    unnumbered = write([{"prompt": "p", "response": str(i)} for i in range(3)])
    assert [a.text for a in each_answer(unnumbered)] == ["0", "1", "2"]
    assert [a.sample for a in read_answers(unnumbered).answers] == [0, 1, 2]
    with pytest.raises(UsageError, match="no answers in this file"):
        list(each_answer(write(b"")))
    with pytest.raises(UsageError, match="no such file"):
        list(each_answer(path.parent / "missing"))


def test_one_at_a_time_nothing_is_kept(write: Any) -> None:
    path = write([{"prompt": f"p{i}", "response": "x" * 1000} for i in range(3000)])
    tracemalloc.start()
    for _ in each_answer(path):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # the answers are 3 MB


def test_one_id_with_two_prompts_is_bad(write: Any) -> None:
    with pytest.raises(UsageError, match=r":2: id '1' has another prompt than at .*:1"):
        read_answers(write([{"id": 1, "prompt": "a", "response": "r"}, {"id": "1", "prompt": "b", "response": "r"}]))


# -- the other formats


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_alpaca_eval_array(write: Any, indent: int | None, pack: Any) -> None:
    rows = [{"instruction": r["prompt"], "output": r["response"], "generator": "m", "dataset": "d"} for r in ROWS]
    last: dict[str, Any] = {"instruction": "Add", "input": "1 2", "output": None}
    rows = [*rows, last]
    file = read_answers(write(pack(json.dumps(rows, indent=indent).encode())))
    assert file.format == "alpaca-eval"
    assert [(a.prompt, a.text) for a in file.answers[:3]] == [(r["prompt"], r["response"]) for r in ROWS]
    assert (file.answers[3].prompt, file.answers[3].text) == ("Add\n\n1 2", None)
    assert read_answers(write(rows)).answers == file.answers  # as JSON Lines


def test_positions_in_an_array_are_entries_and_in_its_syntax_lines(write: Any) -> None:
    with pytest.raises(UsageError, match=r": entry 2: no 'output'"):
        read_answers(write(json.dumps([{"instruction": "a", "output": "b"}, {"instruction": "c"}]).encode()))
    with pytest.raises(UsageError, match=r":4: not JSON"):
        read_answers(write(b'\n[\n\n{"instruction": }]'))
    with pytest.raises(UsageError, match=r":3: not UTF-8"):
        read_answers(write(b'[\n\n"\xff"]'))


def lm_eval(doc: int, prompt: Any, resps: Any, options: Any = None, **more: Any) -> dict[str, Any]:
    options = {"until": ["\n"], "do_sample": False, "max_gen_toks": 64} if options is None else options
    arguments = {"gen_args_0": {"arg_0": prompt, "arg_1": options}}
    return {"doc_id": doc, "doc": {"q": 1}, "target": "4", "arguments": arguments, "resps": resps, "filtered_resps": ["4"], **more}  # fmt: skip  # noqa: E501


def test_lm_eval_samples(write: Any) -> None:
    rows = [
        lm_eval(0, "Q: 2+2?", [["four", "4"]], filter="strict"),
        lm_eval(0, "Q: 2+2?", [["four", "4"]], filter="flexible"),
        {**lm_eval(1, "", [["six", ""]]), "arguments": [["Q: 3+3?", {"temperature": 0.7}]]},
        {**lm_eval(2, "", [["eight"]]), "arguments": ["Q: 4+4?", {}]},
        lm_eval(3, ['[{"role": "user", "content": "hi"}]'], [["ten"]]),
    ]
    file = read_answers(write(rows))
    assert (file.format, file.skipped) == ("lm-eval", ())
    assert [(a.id, a.prompt, a.sample, a.text) for a in file.answers] == [
        ("0", "Q: 2+2?", 0, "four"), ("0", "Q: 2+2?", 1, "4"), ("1", "Q: 3+3?", 0, "six"), ("1", "Q: 3+3?", 1, ""),
        ("2", "Q: 4+4?", 0, "eight"), ("3", '[{"role": "user", "content": "hi"}]', 0, "ten"),
    ]  # fmt: skip
    assert file.answers[0].sampling == Sampling(temperature=0.0, max_tokens=64)
    assert file.answers[2].sampling == Sampling(temperature=0.7)


def test_lm_eval_runs_that_differ_are_not_merged(write: Any) -> None:
    with pytest.raises(UsageError, match="sample 0 of id '0' is also at"):
        read_answers(write([lm_eval(0, "Q", [["a"]]), lm_eval(0, "Q", [["b"]])]))


@pytest.mark.parametrize(
    "row",
    [
        {
            **lm_eval(0, "Q", []),
            "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " A"}, "gen_args_1": {"arg_0": "Q"}},
        },
        lm_eval(0, "Q", [[["-13.4", "False"]]], " A"),
        lm_eval(0, "Q", [["-13.4"]], " A"),
        lm_eval(0, "Q", []),
        lm_eval(0, "Q", "text"),
    ],
)
def test_lm_eval_log_likelihoods_are_no_answers(write: Any, row: Any) -> None:
    with pytest.raises(UsageError, match="no answers to compare"):
        read_answers(write([row]))


def inspect_sample(ident: Any, epoch: int, text: str | None, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": ident, "epoch": epoch, "input": f"Say {ident}.", "target": "",
        "messages": [{"role": "user", "content": f"Say {ident}."}, message],
        "output": {"model": "m", "choices": [{"message": message, "stop_reason": "stop"}], "completion": text}, **more,
    }  # fmt: skip


THOUGHT = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "five"}]
SAMPLES = [
    inspect_sample(1, 1, "one"),
    inspect_sample(1, 2, "uno"),
    inspect_sample("b/c", 1, None, error={"message": "boom"}),
    inspect_sample(4, 1, "", output={"model": "m", "choices": [], "completion": ""}),
    inspect_sample(5, 1, "x", output={"choices": [{"message": {"content": THOUGHT}, "stop_reason": "content_filter"}]}),
]
SAID = [
    ("1", 0, "one", "stop"),
    ("1", 1, "uno", "stop"),
    ("b/c", 0, None, "error"),
    ("4", 0, None, "unknown"),
    ("5", 0, "five", "filter"),
]


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def eval_log(samples: list[Any], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    parts = {f"samples/{s['id']}_epoch_{s['epoch']}.json": json.dumps(s, indent=2).encode() for s in samples}
    return zipped({"_journal/start.json": b"{}", **parts, "summaries.json": b"[]", "header.json": b"{}"}, method)


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"version": 2, "status": "success", "eval": {}, "samples": SAMPLES}).encode(),
        json.dumps({"version": 2, "status": "success", "eval": {}, "samples": SAMPLES}, indent=2).encode(),
        eval_log(SAMPLES),
        eval_log(SAMPLES, zipfile.ZIP_STORED),
    ],
    ids=["json", "indented", "deflated", "stored"],
)
def test_inspect_logs(write: Any, data: bytes) -> None:
    file = read_answers(write(data))
    assert file.format == "inspect"
    assert [(a.id, a.sample, a.text, a.finish) for a in file.answers] == SAID
    assert file.answers[0].conversation == (Message("user", "Say 1."),)


def test_inspect_prompts_are_what_was_asked_once(write: Any) -> None:
    asked = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    answer = {"role": "assistant", "content": "A"}
    rows = [
        inspect_sample(1, 1, "A", messages=[*asked, answer]),
        inspect_sample(2, 1, "A", messages=[*asked, answer, {"role": "user", "content": "Sure?"}, answer]),
        inspect_sample(3, 1, "A", input=asked, messages=[]),
    ]
    file = read_answers(write(eval_log(rows)))
    both = (Message("system", "S"), Message("user", "U"))
    assert [a.conversation for a in file.answers] == [both, (Message("user", "Say 2."),), both]


def test_zips_that_are_no_inspect_logs(write: Any) -> None:
    with pytest.raises(UsageError, match="is no Inspect log"):
        read_answers(write(zipped({"a.json": b"{}"})))
    with pytest.raises(UsageError, match="can't be opened"):
        read_answers(write(eval_log(SAMPLES)[:-30]))
    with pytest.raises(UsageError, match="unpacks to more bytes"):
        read_answers(write(eval_log(SAMPLES)), limits=Limits(total=500))


def test_a_zip_with_unreadable_compression_says_so(write: Any) -> None:
    data = bytearray(eval_log(SAMPLES[:1], zipfile.ZIP_STORED))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = data.index(b"samples/") if signature == b"PK\x03\x04" else data.rindex(b"samples/")
        start = data.rindex(signature, 0, place)
        data[start + offset : start + offset + 2] = (97).to_bytes(2, "little")
    with pytest.raises(UsageError, match="compression method 97, not readable here; convert the log to JSON"):
        read_answers(write(bytes(data)))


def test_a_damaged_zip_member_is_a_bad_record(write: Any) -> None:
    data = eval_log(SAMPLES[:2], zipfile.ZIP_STORED).replace(b'"completion": "uno"', b'"completion": "UNO"')
    with pytest.raises(UsageError, match="entry 2: damaged"):
        read_answers(write(data))
    assert len(read_answers(write(data), skip_bad=True).answers) == 1


def batch(ident: str, *contents: Any, **more: Any) -> dict[str, Any]:
    choices = [
        {"index": i, "message": {"role": "assistant", "content": c, "refusal": None}, "finish_reason": "stop"}
        for i, c in enumerate(contents)
    ]
    body = {"object": "chat.completion", "model": "m", "choices": choices}
    return {"id": "b", "custom_id": ident, "response": {"status_code": 200, "body": body}, "error": None, **more}


def test_openai_batch_output(write: Any) -> None:
    refused = batch("c", None)
    refused["response"]["body"]["choices"][0]["message"]["refusal"] = "I can't."
    rows = [
        batch("a", "one", "two"),
        refused,
        batch("d", response=None, error={"code": "batch_expired"}),
        batch("e", response={"status_code": 400, "body": {"error": {"message": "no"}}}),
        batch("h", "half", error={"code": "batch_cancelled"}),
        batch("i", response={"status_code": 500, "body": {"choices": [{"text": "oops"}]}}),
        batch("f", response={"status_code": 200, "body": {"choices": [{"text": "old", "finish_reason": "length"}]}}),
    ]
    file = read_answers(write(rows))
    assert file.format == "openai-batch"
    assert [(a.id, a.sample, a.text, a.finish) for a in file.answers] == [
        ("a", 0, "one", "stop"), ("a", 1, "two", "stop"), ("c", 0, None, "filter"), ("d", 0, None, "error"),
        ("e", 0, None, "error"), ("h", 0, None, "error"), ("i", 0, None, "error"), ("f", 0, "old", "length"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="only chat and text completions"):
        read_answers(write([batch("g", response={"status_code": 200, "body": {"data": [1]}})]))


# -- pairing


def recorded(write: Any, rows: list[Any]) -> AnswerFile:
    return read_answers(write(rows))


def test_pairs_by_id_when_all_have_one(write: Any) -> None:
    suspect = recorded(write, [{"id": i, "prompt": f"p{i}", "response": f"s{i}"} for i in (3, 1, 2)])
    reference = recorded(write, [batch("1", "r1", "more"), batch("3", "r3"), batch("4", "r4")])
    control = recorded(write, [{"id": 1, "prompt": "p1", "response": "c1"}])
    pairing = pair({"suspect": suspect, "reference": reference, "kontrol": control})
    assert (pairing.by, item_keys([suspect, reference])) == ("id", "id")
    assert [(u.item, u.family, u.sample) for u in pairing.units] == [("3", "writing", 0), ("1", "writing", 0)]
    assert [u.request.messages for u in pairing.units] == [(Message("user", "p3"),), (Message("user", "p1"),)]
    said = {name: [c and c.text for c in column] for name, column in pairing.columns.items()}
    assert said == {"suspect": ["s3", "s1"], "reference": ["r3", "r1"], "kontrol": [None, "c1"]}
    assert pairing.unpaired == {"suspect": 1, "reference": 2, "kontrol": 0}
    assert pairing.notes == ()
    for unit, *answers in zip(pairing.units, *pairing.columns.values(), strict=True):
        assert {a.request_digest for a in answers if a} == {unit.request.digest}
        assert all(a.received_at is None for a in answers if a)


def test_pairs_by_prompt_when_one_has_no_ids(write: Any) -> None:
    rows = [{**r, "id": n} for n, r in enumerate(ROWS)]
    pairing = pair({"suspect": recorded(write, rows), "reference": recorded(write, [ROWS[1], ROWS[1], ROWS[0]])})
    assert pairing.by == "prompt"
    assert [u.request.messages[0].content for u in pairing.units] == [ROWS[0]["prompt"], ROWS[1]["prompt"]]
    assert [len(u.item) for u in pairing.units] == [16, 16]
    assert pairing.unpaired == {"suspect": 1, "reference": 1}


def test_the_system_message_is_part_of_the_prompt(write: Any) -> None:
    one = recorded(write, [{**r, "system": "S"} for r in ROWS[:2]] + [ROWS[2]])
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": ROWS[0]["prompt"]}]
    other = recorded(write, [{"messages": turns, "response": "r"}, *ROWS[1:]])
    pairing = pair({"suspect": one, "reference": other})
    assert [u.request.messages[-1].content for u in pairing.units] == [ROWS[0]["prompt"], ROWS[2]["prompt"]]


def test_ids_that_pair_nothing_or_only_by_accident_give_way_to_prompts(write: Any) -> None:
    suspect = recorded(write, [{**r, "id": f"s{n}"} for n, r in enumerate(ROWS)])
    for ids in ("abc", ["s1", "s2", "s0"]):
        reference = recorded(write, [{**r, "id": i} for r, i in zip(ROWS, ids, strict=True)])
        pairing = pair({"suspect": suspect, "reference": reference})
        assert (pairing.by, len(pairing.units)) == ("prompt", 3)
        assert pairing.notes == ("item ids pair nothing, so the answers are paired by the exact prompts",)
        assert [c and c.text for c in pairing.columns["suspect"]] == [
            c and c.text for c in pairing.columns["reference"]
        ]


def test_prompts_and_settings_that_differ_under_one_id_are_told(write: Any) -> None:
    rows = [{"id": n, "response": "r"} for n in range(3)]
    one = [{**r, "prompt": f"p{r['id']}", "sampling": {"temperature": 0.5}} for r in rows]
    other = [{**r, "prompt": f"p{r['id']}", "sampling": {"temperature": 0.5}} for r in rows]
    other[1]["prompt"], other[2]["sampling"] = "<s>p1", {"temperature": 0.7}
    pairing = pair({"reference": recorded(write, other), "suspect": recorded(write, one)})
    assert list(pairing.columns) == ["reference", "suspect"]
    assert pairing.notes == (
        "1 of 3 paired answers have different prompts on different sides",
        "1 of 3 paired answers were sampled with different settings",
    )
    assert [u.request.sampling.temperature for u in pairing.units] == [0.5, 0.5, 1.0]
    assert pairing.units[1].request.messages == (Message("user", "p1"),)


def test_ids_pair_even_where_no_prompt_is_the_same(write: Any) -> None:
    files = [recorded(write, [lm_eval(n, f"{sign}Q{n}", [["a"]]) for n in range(2)]) for sign in "<["]
    pairing = pair({"suspect": files[0], "reference": files[1]})
    assert (pairing.by, len(pairing.units)) == ("id", 2)
    assert pairing.notes == ("2 of 2 paired answers have different prompts on different sides",)


def test_items_without_any_recorded_prompt_stay_different_requests(write: Any) -> None:
    file = recorded(write, [batch("a", "1"), batch("b", "2")])
    pairing = pair({"suspect": file, "reference": file})
    assert [u.request.messages for u in pairing.units] == [(Message(UNRECORDED, "a"),), (Message(UNRECORDED, "b"),)]
    assert pairing.notes == ("2 of 2 paired answers have no recorded prompt",)


def test_two_ids_that_ask_the_same_are_two_draws(write: Any) -> None:
    rows = [{"id": i, "prompt": "same", "response": i} for i in "abc"]
    file = recorded(write, rows)
    pairing = pair({"suspect": file, "reference": file})
    assert [(u.item, u.sample) for u in pairing.units] == [("a", 0), ("b", 1), ("c", 2)]
    assert len({u.request.digest for u in pairing.units}) == 3
    bare = recorded(write, [{k: v for k, v in r.items() if k != "id"} for r in rows])
    pairing = pair({"suspect": file, "reference": bare})
    assert [c and c.text for c in pairing.columns["suspect"]] == ["a", "b", "c"]


def test_nothing_to_pair_says_what_there_is(write: Any) -> None:
    suspect = recorded(write, [{"prompt": "q\x1b[31m\u202e" + "x" * 500, "response": "r"}, ROWS[0]])
    with pytest.raises(UsageError) as caught:
        pair({"suspect": suspect, "reference": recorded(write, [batch("a", "1")])})
    text = str(caught.value)
    assert "suspect has 2 items, the first is 'q\\x1b[31m\\u202exxx" in text
    assert "reference has 1 items" in text
    assert len(text) < 400
    assert text.isprintable()


def test_only_the_parties_needed_decide_what_is_paired(write: Any) -> None:
    files = {n: recorded(write, [ROWS[i]]) for i, n in enumerate(("suspect", "reference", "x"))}
    files["all"] = recorded(write, ROWS)
    with pytest.raises(UsageError, match="no item is in all of suspect, reference"):
        pair(files)
    assert pair(files, need=("suspect", "all")).columns["x"] == (None,)


# -- anything at all

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
LOGPROBS = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "b", "logprob": -1.0}]}]}
TEMPLATES = [
    {**ROWS[0], "id": 1, "sample": 1, "messages": [{"role": "user", "content": "p"}]},
    {**ROWS[0], "logprobs": LOGPROBS, "sampling": {"seed": 1, "temperature": 1.0}},
    {"instruction": "a", "output": "b"},
    batch("a", "x"),
    lm_eval(0, "Q", [["a"]]),
    inspect_sample(1, 1, "x"),
]


def is_read_or_refused(path: Path) -> None:
    for skip_bad in (False, True):
        try:
            file = read_answers(path, skip_bad=skip_bad)
        except UsageError:
            continue
        assert file.answers
        pair({"suspect": file, "reference": file})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=st.binary(max_size=300),
    head=st.sampled_from(
        [b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"[", b"{\n", b"\xef\xbb\xbf", gzip.compress(b"")]
    ),
)
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, head: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(head + data)
    is_read_or_refused(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(data=st.data())
def test_any_record_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    def change(value: Any) -> Any:
        """The value with a leaf, or a whole branch, replaced by anything."""
        if not isinstance(value, (dict, list)) or not value or data.draw(st.integers(0, 4)) == 0:
            return data.draw(ANYTHING)
        where = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        copy = value.copy()
        copy[where] = change(value[where])
        return copy

    row = change(data.draw(st.sampled_from(TEMPLATES)))
    path = tmp_path / "any"
    path.write_text(json.dumps(data.draw(st.sampled_from([row, [row], {"eval": 1, "samples": [row]}]))))
    is_read_or_refused(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    place=st.floats(0, 1), value=st.integers(0, 255), method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
)
def test_any_damaged_zip_is_read_or_refused(tmp_path: Path, place: float, value: int, method: int) -> None:
    data = bytearray(eval_log(SAMPLES, method))
    data[int(place * (len(data) - 1))] = value
    path = tmp_path / "any"
    path.write_bytes(data)
    is_read_or_refused(path)


# -- real files, where they are


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real answers is not here")
def test_real_answers() -> None:
    one, other = (read_answers(path) for path in sorted(CORPUS.glob("*.zst"))[:2])
    pairing = pair({"suspect": one, "reference": other})
    assert (pairing.by, len(pairing.units), one.skipped) == ("prompt", 251, ())
    assert pairing.unpaired == {"suspect": 0, "reference": 0}
    assert sum(c is not None and c.usable for c in pairing.columns["suspect"]) > 240
