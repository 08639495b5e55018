"""The steps of a page: commands with what they print, and files to write.

Pages are read by a Markdown parser. A ```` ```console ```` block holds commands, one a line; a
```` ```text ```` block after it is what the last of them prints; a block with `title="FILE"` is
written to that file; YAML is merged into one that is there already.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
FAILS = ("refused", "exits with 1")
"""How the title of a console block begins whose command must fail."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title, its text, and the line on which it begins."""

    language: str
    title: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A command line with its output on the page; empty where the page has none."""

    text: str
    prints: str = ""
    refused: bool = False

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


@dataclass(frozen=True)
class File:
    """A file of the reader, or a part of an existing one."""

    name: str
    content: Any


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in its order."""
    fenced = []
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence":
            language, _, rest = token.info.strip().partition(" ")
            title = re.search(r'title="([^"]*)"', rest)
            line = token.map[0] + 1 if token.map else 0
            fenced.append(Block(language, title[1] if title else "", token.content, line))
    return fenced


def steps(page: Path) -> Iterator[Command | File]:
    """Yield the steps of the reader in their order."""
    waiting: list[Command] = []
    for block in blocks(page):
        if block.language == "text" and waiting:
            last = waiting.pop()
            waiting.append(Command(last.text, block.text, last.refused))
            continue
        yield from waiting
        waiting = []
        if block.language == "console":
            lines = block.text.replace("\\\n", " ").splitlines()
            waiting = [
                Command(line.partition("  #")[0].rstrip(), refused=block.title.startswith(FAILS))
                for line in lines
                if line.strip() and not line.startswith("#")
            ]
        elif block.title:
            whole = yaml.safe_load(block.text) if block.language == "yaml" else block.text
            yield File(block.title, whole)
    yield from waiting


def commands(page: Path) -> list[Command]:
    """Return the commands of a page."""
    return [step for step in steps(page) if isinstance(step, Command)]


def prints(expected: str, printed: str) -> bool:
    """Return whether the output is that on the page.

    `…` stands for anything within a line, and on a line of its own for lines; how wide columns are
    doesn't count.
    """

    def line(text: str) -> str:
        if text.strip() == "…":
            return r"(?:.*\n)*?"
        words = r"\s+".join(re.escape(word) for word in text.split())
        return r"[ \t]*" + words.replace("…", ".*?") + r"[ \t]*\n"

    pattern = "".join(line(text) for text in expected.strip("\n").splitlines())
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None
