"""A real browser opens the report of a hostile case: nothing runs, nothing leaves, nothing overlaps the edge."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import report_samples
from browser import Browser, find

import reports
from forensics import AuditConfig
from forensics import compare as judge_files

WIDTHS = (1280, 768, 390)
AXE = "axe-core's axe.min.js is not here: npm install axe-core@4.14.1, then AXE_CORE=node_modules/axe-core/axe.min.js"

pytestmark = pytest.mark.skipif(find() is None, reason="no chromium on this machine: apt-get install chromium")


class Listener(BaseHTTPRequestHandler):
    """Counts whatever asks it for anything."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def trap() -> Iterator[tuple[str, list[str]]]:
    """An address that hostile text points to, and what was asked of it."""
    asked: list[str] = []
    server = HTTPServer(("127.0.0.1", 0), type("Trap", (Listener,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def attacks(url: str) -> list[str]:
    run = f"window.ran=1;document.title='ran';fetch('{url}/ran')"
    return [
        f"<script>{run}</script>", f"</style><script>{run}</script><style>", f"<img src='{url}/img' onerror=\"{run}\">",
        f"<svg onload=\"{run}\"><image href='{url}/svg'/></svg>", f"</textarea><iframe src='{url}/frame'></iframe>",
        f"<link rel=stylesheet href='{url}/css'><style>@import '{url}/import';*{{background:url({url}/bg)}}</style>",
        f"<a href=\"javascript:{run}\">click</a><body onload=\"{run}\">",
        f"<meta http-equiv=refresh content='0;{url}/meta'>",
        f"<base href='{url}/'><form action='{url}/form'><button autofocus onfocus=\"{run}\">",
        f"\"><script src='{url}/src'></script>", f"{{{{ 7*7 }}}} {{% include '{url}' %}} ${{{run}}}",
        "\u202egnp.exe \u2066right\u2069 \u200bzero\u200d \u0600 \ufeff",
        "\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link \x9b5m",
    ]  # fmt: skip


def answers(path: Path, party: str, texts: list[str]) -> str:
    lines = []
    for i in range(40):
        text = f"{texts[i % len(texts)]} Answer {i} of {party}, word{i} " + " ".join(
            f"{party}{k}" for k in range(i % 7)
        )
        if i == 3 and party == "s":
            text += "x" * 1_000_000
        if i == 5 and party == "r":
            text = "long-" * 200_000
        lines.append(json.dumps({"prompt": f"{i}: {texts[(i + 1) % len(texts)]}", "response": text}))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, trap: tuple[str, list[str]]) -> Path:
    """The page of a case whose every answer and prompt is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = attacks(trap[0])
    parties = [answers(folder / f"{name}.jsonl", name, texts) for name in ("s", "r", "a<script>", "b", "c")]
    record = judge_files(AuditConfig(parties[0], parties[1], tuple(parties[2:])))
    assert any(x.direction == "for" or x.direction == "against" for x in record.exhibits)
    page = folder / "hostile.html"
    page.write_text(reports.render(record, "html"), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("ordinary") / "report.html"
    page.write_text(reports.render(report_samples.decided(), "html"), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


def noise(browser: Browser) -> list[Any]:
    """Console lines, exceptions, dialogs."""
    kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening")
    return [event for kind in kinds for event in browser.seen(kind)]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_hostile_case_does_nothing(browser: Browser, hostile: Path, trap: tuple[str, list[str]], width: int) -> None:
    browser.open(hostile, width=width)
    assert noise(browser) == []
    requested = [r["request"]["url"] for r in browser.seen("Network.requestWillBeSent")]
    assert requested == [hostile.resolve().as_uri()]
    assert trap[1] == []
    assert browser.evaluate("window.ran") is None
    assert "ran" not in browser.evaluate("document.title").split()
    assert browser.evaluate("document.scripts.length + document.images.length + document.forms.length") == 0
    assert browser.evaluate("document.querySelectorAll('iframe, object, embed, base, link').length") == 0
    assert "<script>window.ran=1" in browser.evaluate("document.body.textContent")


def test_the_policy_stops_what_escaping_would_let_through(browser: Browser, trap: tuple[str, list[str]],
                                                          ordinary: Path, tmp_path: Path) -> None:  # fmt: skip
    """The second line of defence, tried alone: the attacks put into the page unescaped."""
    text = ordinary.read_text()
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("</main>", "".join(attacks(trap[0])[:2]) + "</main>"))
    browser.open(broken)
    assert browser.evaluate("window.ran") is None
    assert any("Content Security Policy" in str(event) for event in noise(browser))
    assert trap[1] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["hostile", "ordinary"])
def test_the_layout_holds(browser: Browser, request: pytest.FixtureRequest, name: str, width: int) -> None:
    browser.open(request.getfixturevalue(name), width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    outside = browser.evaluate("""
        [...document.querySelectorAll('body *')].filter(e => {
            const r = e.getBoundingClientRect();
            return r.width && r.right > document.documentElement.clientWidth + 1
                && !e.closest('.scroll, nav ul, .skip, .hidden, .transcript');
        }).map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 60))""")
    assert outside == []


def test_text_keeps_its_size_on_a_telephone(browser: Browser, ordinary: Path) -> None:
    browser.open(ordinary, width=390)
    small = browser.evaluate("""
        [...document.querySelectorAll('svg text')].map(t => {
            const svg = t.ownerSVGElement, box = svg.viewBox.baseVal;
            const scale = box && box.width ? svg.getBoundingClientRect().width / box.width : 1;
            return parseFloat(getComputedStyle(t).fontSize) * scale;
        }).filter(size => size < 9).length""")
    assert small == 0


def test_dark_and_light_differ_and_both_can_be_read(browser: Browser, ordinary: Path) -> None:
    seen = []
    for dark in (False, True):
        browser.open(ordinary, dark=dark)
        seen.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert seen[0] != seen[1]


def test_everything_can_be_reached_by_keyboard(browser: Browser, ordinary: Path) -> None:
    browser.open(ordinary)
    focusable = browser.evaluate("document.querySelectorAll('a[href], summary, [tabindex=\"0\"]').length")
    stuck = browser.evaluate("[...document.querySelectorAll('.scroll')].filter(e => e.tabIndex !== 0).length")
    assert focusable > 20
    assert stuck == 0


def test_the_printed_page_holds_what_the_screen_folds_away(browser: Browser, ordinary: Path, tmp_path: Path) -> None:
    browser.open(ordinary)
    (tmp_path / "report.pdf").write_bytes(browser.pdf())
    data = (tmp_path / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 40
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not here: apt-get install poppler-utils")
    text = subprocess.run(["pdftotext", "-layout", tmp_path / "report.pdf", "-"], capture_output=True, text=True,
                          check=True).stdout  # fmt: skip
    for wanted in ("Copied outputs: moderate support for Hp", "Glossary", "Answers of the other parties",
                   "not controlled", "Hp at or above"):  # fmt: skip
        assert wanted in text, wanted


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ordinary", "hostile"])
def test_axe_finds_no_serious_violation(
    browser: Browser, request: pytest.FixtureRequest, name: str, dark: bool
) -> None:
    axe = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
    if not axe.is_file():
        pytest.skip(AXE)
    browser.open(request.getfixturevalue(name), dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    browser.evaluate(axe.read_text(encoding="utf-8") + "; 0")
    found = browser.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))")
    serious = [
        (v["id"], v["nodes"][0]["target"], len(v["nodes"]))
        for v in json.loads(found)
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
