"""Which files of the repository are pages of the site, and how links between them are written there."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ELSEWHERE: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "GOVERNANCE.md": "governance.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "gitops/README.md": "gitops.md",
    "tests/README.md": "tests.md",
    "bentos/service/README.md": "library.md",
    "bentos/pricing/README.md": "samples/pricing.md",
    "bentos/search-ranking/README.md": "samples/search-ranking.md",
    "bentos/market/README.md": "samples/market.md",
}
"""Pages outside of docs/, by their place in the repository."""
LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


class BrokenLink(Exception):  # noqa: N818 - says what is the case
    """A page links to what isn't there."""


def pages() -> dict[str, str]:
    """Place on the site by place in the repository."""
    docs = ROOT / "docs"
    own = {
        f"docs/{path.relative_to(docs).as_posix()}": path.relative_to(docs).as_posix()
        for path in docs.rglob("*.md")
        if "site" not in path.relative_to(docs).parts
    }
    return own | ELSEWHERE


def page(place: str, known: dict[str, str], source: str) -> str:
    """The text of a page, its links as the site has them.

    What is in the repository and no page is linked below `source`, or named without a link where
    nobody says what that is.
    """

    def rewritten(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        if "://" in target or target.startswith(("#", "mailto:")):
            return found[0]
        path, mark, anchor = target.partition("#")
        absolute = os.path.normpath(PurePosixPath(place).parent / path).replace(os.sep, "/")
        if absolute in known:
            start = PurePosixPath(known[place]).parent
            return f"[{text}]({os.path.relpath(known[absolute], start)}{mark}{anchor})"
        if not (ROOT / absolute).exists():
            raise BrokenLink(f"{place}: {target} leads nowhere: correct or remove it")
        return f"[{text}]({source}/{absolute})" if source else text

    return LINK.sub(rewritten, (ROOT / place).read_text(encoding="utf-8"))
