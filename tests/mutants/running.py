"""Runs tests against mutants, each in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, groupby
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from tests.mutants.forked import Ended, import_libraries_once, patient, run_forked
from tests.mutants.mutant import ROOT, Mutant, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tests.mutants.covering import Covering, Given

RUN_SECONDS = 900
"""A mutant that takes longer has no verdict."""
LONG = ("tests/golden/test_stories.py", "tests/unit/stories/", "tests/unit/virtual/")
STEPS = count(2_000_000_000)
"""Times of change of mutated files: Python's cache of bytecode distinguishes texts by them."""


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNEXECUTED = "no test executes it"
    NOT_APPLICABLE = "not applicable"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`by` : the test that noticed, or why there is none. `tests` : how many could have."""

    mutant: Mutant
    fate: Fate
    by: str = ""
    tests: int = 0


def judge(
    mutants: Sequence[Mutant], covering: Covering | Given, *, workers: int
) -> Iterator[Verdict]:
    """Yield verdicts in the order of the mutants, each as soon as it is there."""
    import_libraries_once()
    with copies(workers) as free, ThreadPoolExecutor(workers) as pool:

        def one(mutant: Mutant) -> Verdict:
            copy = free.get()
            try:
                return _judge(mutant, copy, covering)
            finally:
                free.put(copy)

        yield from pool.map(one, mutants)


def _judge(mutant: Mutant, copy: Path, covering: Covering | Given) -> Verdict:
    path = copy / mutant.path
    if not path.is_file():
        return Verdict(mutant, Fate.NOT_APPLICABLE, f"{mutant.file} isn't there")
    text = path.read_text(encoding="utf-8")
    try:
        changed, lines = mutant.applied(text), mutant.lines(text)
    except NotApplicableError as error:
        return Verdict(mutant, Fate.NOT_APPLICABLE, str(error))
    tests = covering.tests(mutant.path, lines)
    if not tests:
        return Verdict(mutant, Fate.UNEXECUTED)
    _write(path, changed)
    try:
        return _run(mutant, copy, tests)
    finally:
        _write(path, text)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    moment = next(STEPS)
    os.utime(path, (moment, moment))


def _run(mutant: Mutant, copy: Path, tests: Collection[str]) -> Verdict:
    files = [
        file for file in {test.partition("::")[0] for test in tests} if (copy / file).is_file()
    ]
    until, codes = monotonic() + patient(RUN_SECONDS), set()
    for group in nearest_first(files, mutant.file):
        ended = run_forked(copy, group, tests, until - monotonic())
        verdict = judged(mutant, ended, len(tests))
        if verdict.fate is not Fate.SURVIVED:
            return verdict
        codes.add(ended.code)
    if codes <= {pytest.ExitCode.NO_TESTS_COLLECTED}:
        return Verdict(mutant, Fate.UNFINISHED, "the tests aren't there any more", len(tests))
    return Verdict(mutant, Fate.SURVIVED, tests=len(tests))


def nearest_first(files: Iterable[str], module: str) -> list[list[str]]:
    """Test files in groups, each to be run when none before it has noticed the mutant.

    First the module's own file, then those of its package, then others, last long stories.
    """
    own = f"tests/unit/{Path(module).with_name('test_' + Path(module).name).as_posix()}"
    package = f"tests/unit/{Path(module).parts[0]}/"

    def distance(file: str) -> int:
        if file.startswith(LONG):
            return 3
        return 0 if file == own else 1 if file.startswith(package) else 2

    ordered = sorted(files, key=lambda file: (distance(file), file))
    return [list(group) for _, group in groupby(ordered, distance)]


def judged(mutant: Mutant, ended: Ended, tests: int) -> Verdict:
    """Return the verdict on the mutant from the end of a run; the mutant survives a run without tests, too."""
    if ended.code is None:
        return Verdict(mutant, Fate.UNFINISHED, f"longer than {RUN_SECONDS} s", tests)
    if ended.code in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        return Verdict(mutant, Fate.SURVIVED, tests=tests)
    noticed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", ended.told, re.MULTILINE)
    if noticed is not None:
        return Verdict(mutant, Fate.KILLED, noticed.group(1), tests)
    if ended.code == pytest.ExitCode.TESTS_FAILED or "Timeout" in ended.told:
        return Verdict(mutant, Fate.KILLED, "a test that doesn't end", tests)
    last = " ".join(ended.told.strip().splitlines()[-3:])
    return Verdict(mutant, Fate.UNFINISHED, last, tests)


@contextmanager
def copies(number: int) -> Iterator[SimpleQueue[Path]]:
    """Yield copies of the tree as it is, changes that aren't committed and new files included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    free: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for index in range(number):
            copy = Path(folder) / str(index)
            for name in filter(None, listed):
                if (ROOT / name).is_file():
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, copy / name)
            free.put(copy)
        yield free
