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
    """The text of axe-core."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def browser() -> str:
    """The path of a browser, installed on Debian as root; elsewhere the test is skipped without one."""
    if (found := _found()) is not None:
        return found
    try:
        require_packages([BROWSERS[0]])
    except MissingPrerequisiteError as error:
        pytest.skip(f"needs one of {', '.join(BROWSERS)}: {error}")
    found = _found()
    assert found is not None
    return found


def _found() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _browse(page: Path, scratch: Path, *flags: str) -> str:
    found = browser()
    command = [found, *FLAGS, f"--user-data-dir={scratch / 'profile'}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    return done.stdout


def examined(page: Path, scratch: Path, *, width: int) -> dict[str, Any]:
    """What axe-core finds in a page in a window of this width, and how wide the page is.

    The page's own policy forbids scripts, so that of the copy is taken away.
    """
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page.read_text())
    copy = scratch / "examined.html"
    copy.write_text(text.replace("</body>", f"{SCRIPT.format(axe=axe())}</body>"))
    shown = _browse(copy, scratch, "--dump-dom", f"--window-size={width},1000")
    told = re.search(r'<pre id="told">(.*?)</pre>', shown, re.DOTALL)
    assert told is not None, "axe-core came to no end"
    found: dict[str, Any] = json.loads(html.unescape(told.group(1)))
    return found


def printed_pages(page: Path, scratch: Path) -> int:
    """How many pages it prints."""
    out = scratch / "page.pdf"
    _browse(page, scratch, f"--print-to-pdf={out}")
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", out.read_bytes()))
