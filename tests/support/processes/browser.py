"""A page in a real browser: what axe-core finds in it, how wide it gets, and how many pages it prints."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from cluster.errors import MissingPrerequisiteError
from cluster.prerequisites import require_packages

if TYPE_CHECKING:
    from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-pdf-header-footer",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000",
)  # fmt: skip
SCRIPT = """
<script>{axe}</script>
<script>
axe.run().then(found => {{
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify({{
    violations: found.violations.map(one => [one.id, one.impact, one.nodes.map(node => node.html)]),
    passes: found.passes.map(one => one.id),
    wide: document.documentElement.scrollWidth, window: window.innerWidth,
    sideways: [...document.querySelectorAll(".wide")]
      .filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel),
  }});
  document.body.append(told);
}});
</script>
"""


@cache
def axe() -> str:
    """Return the text of axe-core."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def browser() -> str:
    """Return the path of a browser, installed on Debian as root.

    Elsewhere the test is skipped without one.
    """
    if (path := _found()) is not None:
        return path
    try:
        require_packages([BROWSERS[0]])
    except MissingPrerequisiteError as error:
        pytest.skip(f"needs one of {', '.join(BROWSERS)}: {error}")
    path = _found()
    assert path is not None
    return path


def _found() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _browse(page: Path, scratch: Path, *flags: str) -> str:
    path = browser()
    command = [path, *FLAGS, f"--user-data-dir={scratch / 'profile'}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    return done.stdout


def examined(page: Path, scratch: Path, *, width: int) -> dict[str, Any]:
    """Return axe-core's findings in a page in a window of this width, and the page's width.

    The page's own policy forbids scripts, so that of the copy is taken away.
    """
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page.read_text())
    copy = scratch / "examined.html"
    copy.write_text(text.replace("</body>", f"{SCRIPT.format(axe=axe())}</body>"))
    html_text = _browse(copy, scratch, "--dump-dom", f"--window-size={width},1000")
    match = re.search(r'<pre id="told">(.*?)</pre>', html_text, re.DOTALL)
    assert match is not None, "axe-core came to no end"
    result: dict[str, Any] = json.loads(html.unescape(match.group(1)))
    return result


def printed_pages(page: Path, scratch: Path) -> int:
    """Return the number of printed pages."""
    out = scratch / "page.pdf"
    _browse(page, scratch, f"--print-to-pdf={out}")
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", out.read_bytes()))
