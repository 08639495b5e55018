"""Which tests execute which line of the operator's code, by coverage.py's contexts.

A run of all fast tests under coverage takes minutes, so its data is kept in `.mutants/` and made
again when the code has changed; when only tests have, those are run again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coverage import CoverageData

from tests.mutants.mutant import CODE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TIERS = ("tests/unit", "tests/golden")
FAST = "not heavy"
"""Marker expression of the tests that mutants are run against."""
OTHERS = ("benchmarks", "cluster", "demo", "market", "service")
"""Folders of tests/unit that don't run the operator's code."""
TRACED_SECONDS = 600
"""A test takes several times as long under coverage; its own limit would end the whole run."""
KEPT = ROOT / ".mutants"
DATA = KEPT / "coverage"
HASHES = KEPT / "hashes.json"
SETTINGS = """\
[run]
branch = true
source = operator/sluicegate
"""


class Covering:
    """The contexts of one run of the tests."""

    def __init__(self, data: CoverageData, root: Path = ROOT) -> None:
        self._data = data
        self._root = root

    def tests(self, path: Path, lines: Iterable[int]) -> set[str]:
        """Return node ids of tests, or test files, that execute these lines of a file.

        What only a fixture executes may be judged by any test of its file, as the fixture may
        serve them all. A line that is executed at import (a constant, a field) is judged by all
        tests that execute any line of the file, and by those of each file that imports it: a test
        that compares a constant with its number executes nothing. A line that nothing seems to
        execute is judged by the tests of those before it in its function: once a timeout has
        cancelled an await, CPython 3.11 traces no further line of the frame.
        """
        contexts = self._data.contexts_by_lineno(str(self._root / path))
        desired = set(lines)
        found = {one for line in desired for one in contexts.get(line, ())}
        if not found - {""}:
            if not found:
                text = (self._root / path).read_text(encoding="utf-8")
                before = lines_before(text, min(desired))
                return _selected({one for line in before for one in contexts.get(line, ())})
            found = {one for held in contexts.values() for one in held}
            return _selected(found) | importing(path, self._root)
        return _selected(found)


@dataclass(frozen=True, slots=True)
class Given:
    """The tests that a person named, whatever they execute."""

    files: frozenset[str]

    def tests(self, path: Path, lines: Iterable[int]) -> set[str]:
        """Return all of them."""
        return set(self.files)


def lines_before(source: str, line: int) -> range:
    """Return lines of the innermost function that has this one, up to it.

    Empty outside of functions.
    """
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    around = [
        node.body[0].lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, functions) and node.body[0].lineno <= line <= (node.end_lineno or 0)
    ]
    return range(max(around, default=line), line)


def importing(path: Path, root: Path = ROOT) -> set[str]:
    """Test files that import the module of this path, or a package to import all of it."""
    parts = path.relative_to(CODE.parent).with_suffix("").parts
    package, name = ".".join(parts[:-1]), parts[-1]
    import_ = re.compile(
        rf"^import {parts[0]}$|^from {parts[0]} import {parts[1]}$|^\s*from {re.escape(package)}(?:\.{name} import|"
        rf" import (?:\([^)]*|[^\n(]*)\b{name}\b)",
        re.MULTILINE,
    )
    return {
        file.relative_to(root).as_posix()
        for tier in TIERS
        for file in (root / tier).rglob("test_*.py")
        if import_.search(file.read_text(encoding="utf-8"))
    }


def _selected(contexts: Iterable[str]) -> set[str]:
    phases: dict[str, set[str]] = defaultdict(set)
    for context in filter(None, contexts):
        test, _, phase = context.partition("|")
        phases[test].add(phase)
    in_body = {test for test, seen in phases.items() if "run" in seen}
    files = {test.partition("::")[0] for test in phases.keys() - in_body}
    return files | in_body


def measured(*, fresh: bool = False) -> Covering:
    """Return the contexts for the tree as it is; runs what they aren't known of."""
    now = _hashes()
    before = json.loads(HASHES.read_text()) if HASHES.is_file() and not fresh else {}
    changed = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
    if not DATA.is_file() or any(not _is_test(name) for name in changed):
        run_under_coverage(TIERS, append=False)
    elif present := sorted(name for name in changed if name in now):
        run_under_coverage(present, append=True)
    HASHES.write_text(json.dumps(now, indent=1))
    data = CoverageData(str(DATA))
    data.read()
    return Covering(data)


def run_under_coverage(what: Iterable[str], *, append: bool) -> None:
    """Run tests, and keep which lines each of them executes."""
    KEPT.mkdir(exist_ok=True)
    settings = KEPT / "coveragerc"
    settings.write_text(SETTINGS + f"data_file = {DATA}\n")
    ignored = [f"--ignore=tests/unit/{name}" for name in OTHERS]
    arguments = [
        *("-q", "-m", FAST, "-n", str(os.cpu_count() or 1), f"--timeout={TRACED_SECONDS}"),
        *ignored,
        *("--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report="),
        *(["--cov-append"] if append else []),
    ]
    command = [sys.executable, "-m", "pytest", *arguments, *what]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit("the tests fail without any mutant: mend them first, as all would seem killed")


def _hashes() -> dict[str, str]:
    files = sorted([*(ROOT / CODE).rglob("*.py"), *(ROOT / "tests/support").rglob("*.py")])
    for tier in TIERS:
        files += sorted((ROOT / tier).rglob("test_*.py"))
    return {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _is_test(name: str) -> bool:
    return name.startswith(TIERS)
