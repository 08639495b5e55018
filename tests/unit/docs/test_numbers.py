"""A sentence with a number about behaviour names the test or the command that shows it.

A paragraph, an item of a list or a row of a table that has one needs a footnote, or names a test
or a command itself. A paragraph with "The numbers of this section" (or "page") and a reference
covers all of its section (or page).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
PAGES: Final = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "site" not in page.parts),
]
GENERATED: Final = re.compile(r"[Gg]enerated (by|from)\b|\bgenerates this page\b")
"""In the first lines of a page that a command writes: its numbers are that command's."""

NUMBER: Final = (
    r"(?<![\w.,])(?:\d[\d,]*(?:\.\d+)?|\.\d+|one|two|three|four|five|six|seven|eight|nine|ten|"
    r"twelve|fourteen|fifteen|eighteen|twenty|thirty|half an?)"
)
UNIT: Final = (
    r"(?:%|per cent|points?|m?s|min|h|(?:milli)?seconds?|minutes?|hours?|days?|weeks?|[KMGk]i?B|"
    r"blocks|writes?|labels|requests|queries)"
)
BEHAVIOUR: Final = re.compile(
    rf"{NUMBER}[\s-]+(?:(?:more|bad|consecutive|whole) )?{UNIT}(?![\w/])", re.IGNORECASE
)
EXEMPT: Final = {
    r"5, 25 (and|or) 50 %|then 25 %, then 50 %|5 % of the (traffic|requests)": "steps of an example",
    r"(blocks?|sums?) of (five minutes|300 s|an hour)": "the default length of a block",
    r"in (15|fifteen) minutes": "the time of a reader",
    r"(one|two) requests": "what a person sends",
    r"95 % interval": "the level of an interval that is shown",
}
"""Numbers that promise nothing about the operator, with the reason."""
NOT_ABOUT_IT: Final = {"Context", "Not chosen", "Not done"}
"""Sections of a decision record: what was there before, and what isn't."""

FOOTNOTE: Final = re.compile(r"\[\^([\w-]+)\](?!:)")
DEFINITION: Final = re.compile(r"^\[\^([\w-]+)\]: (.+)$", re.MULTILINE)
CODE: Final = re.compile(r"`([^`\n]+)`")
TEST: Final = re.compile(r"tests/[\w/.-]+\.py(?:::test_\w+)?$")
COMMAND: Final = re.compile(r"(?:[A-Z]+=\S+ )*(?:make ([a-z-]+)|python -m ([\w.]+))(?= |$)")
WHOLE: Final = tuple(
    f"tests/{tier}"
    for tier in (
        "apiserver", "bentos", "benchmarks", "chaos", "golden/test_stories", "gitops", "kind", "lives",
        "node", "prometheus", "queues", "skew", "unit/cli", "unit/measurement", "unit/notify", "unit/reviews", "unit/simulation",
        "unit/virtual", "unit/web",
    )
)  # fmt: skip
"""Tests of whole programs: the operator, the messenger, the page, ledgers, the commands on histories."""
OF_A_PART: Final = {
    "docs/markets.md": {"wrongly"},
    "docs/reviews.md": {"change"},
    "docs/waits.md": {"probation"},
}
"""Footnotes about one function: a report's comparison of two periods, the words of a condition;
a rate of centuries."""
COVERS: Final = re.compile(r"The numbers of this (section|page)\b")


class Block(NamedTuple):
    """A paragraph, an item or a row, with its line, its section, and its text without code blocks."""

    page: Path
    line: int
    section: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The blocks of a page; fenced code is an example, and left out."""
    text = re.sub(
        r"^ *```.*?^ *```", lambda code: "\n" * code[0].count("\n"), page.read_text("utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )  # fmt: skip
    found: list[Block] = []
    section, begins, lines = "", 0, list[str]()

    def end() -> None:
        if lines:
            found.append(Block(page, begins, section, " ".join(lines)))
            lines.clear()

    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if not bare or re.match(r"(#|\||- |\* |\d+\. |\[\^[\w-]+\]: )", bare):
            end()
        if bare.startswith("#"):
            section = bare.strip("# ")
        elif bare and not bare.startswith("[^"):
            begins = begins if lines else number
            lines.append(bare)
    end()
    return found


def named(text: str) -> list[str]:
    """The tests and commands that a text names."""
    return [code for code in CODE.findall(text) if TEST.match(code) or COMMAND.match(code)]


def has_reference(block: Block) -> bool:
    """Whether a block leads to a test or a command."""
    return bool(FOOTNOTE.search(block.text) or named(block.text))


def without_reference(page: Path) -> list[str]:
    """The numbers about behaviour on a page that nothing shows."""
    found = blocks(page)
    if any(GENERATED.search(block.text) for block in found[:2]):
        return []
    covering = [
        (match[1], block.section)
        for block in found
        if (match := COVERS.search(block.text)) and has_reference(block)
    ]
    if any(kind == "page" for kind, _ in covering):
        return []
    covered = {section for _, section in covering} | NOT_ABOUT_IT
    return [
        f"{page.relative_to(ROOT)}:{block.line}: {match[0]}"
        for block in found
        if block.section not in covered and not has_reference(block)
        for match in BEHAVIOUR.finditer(promised(block.text))
    ]


def promised(text: str) -> str:
    """A text without examples, which are code or emphasised, and without exempt numbers."""
    for pattern in EXEMPT:
        text = re.sub(pattern, "", text)
    return re.sub(r"(?<!\*)\*[^*]+\*(?!\*)", "", CODE.sub("", text))


@cache
def targets() -> set[str]:
    """The targets of `make`; `demo-%` stands for the names in the comment above it."""
    text = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^[a-z-]+(?=:)|\bdemo-[a-z]+\b", text, re.MULTILINE))


def exists(reference: str) -> bool:
    """Whether a test can be collected, or a command is there."""
    if TEST.match(reference):
        path, _, name = reference.partition("::")
        file = ROOT / path
        return file.is_file() and (
            not name
            or bool(re.search(rf"^(async )?def {name}\(", file.read_text("utf-8"), re.MULTILINE))
        )
    command = COMMAND.match(reference)
    assert command
    target, module = command.groups()
    if target:
        return target in targets()
    place = module.replace(".", "/")
    return any(
        (ROOT / root / name).is_file()
        for root in ("", "operator", "bentos/service/src")
        for name in (f"{place}.py", f"{place}/__main__.py")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_number_in_the_docs_has_a_footnote_with_its_test(page: Path):
    found = without_reference(page)
    assert not found, (
        "name the test or the command that shows it on the whole operator, in a footnote, "
        "or remove the number"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_test_and_command_that_a_page_names_exists(page: Path):
    assert [one for one in named(page.read_text("utf-8")) if not exists(one)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_footnote_is_referenced_and_names_a_test_or_a_command(page: Path):
    text = page.read_text("utf-8")
    notes = dict(DEFINITION.findall(text))
    assert set(FOOTNOTE.findall(text)) == set(notes)
    vague = [
        name
        for name, note in notes.items()
        if not any("::" in one or COMMAND.match(one) for one in named(note))
    ]
    assert vague == []


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.parent.name != "adr"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_a_footnote_of_a_user_page_names_a_test_of_a_whole_program(page: Path):
    """A decision record may name a simulation or a unit test, as it is about a part."""
    notes = dict(DEFINITION.findall(page.read_text("utf-8")))
    parts = {
        name
        for name, note in notes.items()
        if not any(one.startswith(WHOLE) or COMMAND.match(one) for one in named(note))
    }
    assert parts == OF_A_PART.get(str(page.relative_to(ROOT)), set())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The leader is replaced after 15 s.", False),
        ("At most 5 % are promoted.", False),
        ("At most 5 % are promoted.[^errors]", True),
        ("The leader is replaced after 15 s (`tests/chaos/test_replicas_stop.py`).", True),
        ("`make bars` shows that it takes 3 s.", True),
        ("Set `timeoutSeconds: 60 s`.", True),
        ("| a promotion | eighteen writes |", False),
        ("- It takes 5, 25 and 50 % of the traffic.", True),
        ("Kubernetes 1.33 or later, on two machines.", True),
        ("```\nit takes 15 s\n```", True),
        ("The numbers of this page are those of `make bench`.\n\nIt takes 15 s.", True),
        ("## A\n\nThe numbers of this section: `make bench`.\n\n## B\n\nIt takes 15 s.", False),
    ],
)
def test_a_number_without_a_footnote_is_detected(text: str, shown: bool, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.unit.docs.test_numbers.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    assert (without_reference(page) == []) == shown
