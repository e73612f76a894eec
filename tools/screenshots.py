"""``make screenshots``: the example reports and a hostile one at three widths, dark and light, and printed.

They are there to be looked at, in build/screenshots; docs/report.png is the first screen of the first example.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from browser import Browser

import reports

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
OUT = ROOT / "build" / "screenshots"
WIDTHS = (1280, 768, 390)


def hostile() -> Path:
    """The report of the tests whose every string is an attack."""
    sys.path.insert(0, str(ROOT / "tests" / "reports"))
    import report_samples

    page = OUT / "hostile.html"
    page.write_text(reports.render(report_samples.hostile(), "html"), encoding="utf-8")
    return page


def main() -> None:
    """Every page, every width, both schemes."""
    OUT.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        for page in (*sorted(EXAMPLES.glob("*.html")), hostile()):
            for width in WIDTHS:
                for dark in (False, True):
                    browser.open(page, width=width, height=1200, dark=dark)
                    name = f"{page.stem}-{width}-{'dark' if dark else 'light'}"
                    (OUT / f"{name}.png").write_bytes(browser.screenshot(whole=True))
            browser.open(page)
            (OUT / f"{page.stem}.pdf").write_bytes(browser.pdf())
        browser.open(EXAMPLES / "zoo-student.html", width=1100, height=1000)
        (ROOT / "docs" / "report.png").write_bytes(browser.screenshot())
    if shutil.which("pdftoppm"):
        for pdf in sorted(OUT.glob("*.pdf")):
            subprocess.run(["pdftoppm", "-r", "60", "-png", str(pdf), str(pdf.with_suffix(""))], check=True)
    print(f"look at {OUT}")


if __name__ == "__main__":
    main()
