"""The pages name commands, options and files that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sluicegate.__main__ import COMMANDS, _parser

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    ROOT / "README.md",
    ROOT / "gitops" / "README.md",
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "bentos").glob("*/README.md"),
    *(ROOT / "operator/sluicegate/cli/models/templates").rglob("README.md.in"),
]
BLOCK = re.compile(r"^ *```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each call of `sluicegate` in a console block, with its page."""
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            lines = block.replace("\\\n", " ").splitlines()
            found += [
                (page.name, line.strip().removeprefix("kubectl ").split(" > ")[0])
                for line in lines
                if line.strip().startswith(("sluicegate ", "kubectl sluicegate "))
            ]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_each_documented_command_is_valid(page: str, line: str):
    words = shlex.split(line, comments=True)[1:]

    parsed = _parser(words[0]).parse_args(words)

    assert parsed.run


def test_each_command_is_documented():
    named = {shlex.split(line, comments=True)[1] for _, line in commands()}
    inside = {
        "run",
        "crds",
        "explain",
        "completion",
    }  # the operator's own start, a contributor's, a runbook's, a shell's

    assert set(COMMANDS) - named <= inside


def test_links_within_the_repository_resolve():
    pages = [
        ROOT / "README.md",
        ROOT / "gitops" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "bentos").glob("*/README.md"),
    ]
    link = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in link.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken
