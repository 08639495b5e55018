"""Runs tests against mutants, each in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tests.mutants.chosen import LISTED
from tests.mutants.covering import FAST
from tests.mutants.mutant import ROOT, Mutant, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.mutants.covering import Covering, Given

TEST_SECONDS = 60
"""A test that takes longer has noticed something: the mutant has it wait for ever."""
RUN_SECONDS = 900
LONG = ("tests/golden/", "tests/unit/stories/", "tests/unit/virtual/")
TESTS_FAILED = 1
STEPS = count(2_000_000_000)
"""Times of change of mutated files: Python's cache of bytecode tells texts apart by them."""


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
    """Verdicts in the order of the mutants, each as soon as it is there."""
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


def _run(mutant: Mutant, copy: Path, tests: set[str]) -> Verdict:
    listed = copy / ".tests"
    listed.write_text("\n".join(sorted(tests)), encoding="utf-8")
    files = sorted({test.partition("::")[0] for test in tests}, key=_by_length)
    files = [file for file in files if (copy / file).is_file()]
    sources = [copy / "operator", copy / "bentos/service/src", copy / "bentos/market/src", copy]
    environment = {
        **os.environ,
        LISTED: str(listed),
        "PYTHONPATH": os.pathsep.join(map(str, sources)),
    }
    command = [
        *(sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-m", FAST),
        *("-p", "tests.mutants.chosen", "-p", "no:cacheprovider", f"--timeout={TEST_SECONDS}"),
        *files,
    ]
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(mutant, Fate.UNFINISHED, f"longer than {RUN_SECONDS} s", len(tests))
    noticed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    if done.returncode == 0:
        return Verdict(mutant, Fate.SURVIVED, tests=len(tests))
    if noticed is None and done.returncode != TESTS_FAILED and "Timeout" not in done.stderr:
        told = (done.stdout + done.stderr).strip().splitlines()
        return Verdict(mutant, Fate.UNFINISHED, " ".join(told[-3:]), len(tests))
    by = noticed.group(1) if noticed else "a test that doesn't end"
    return Verdict(mutant, Fate.KILLED, by, len(tests))


def _by_length(file: str) -> tuple[bool, str]:
    """Files in an order; last those of long stories, as the first test that fails ends the run."""
    return file.startswith(LONG), file


@contextmanager
def copies(number: int) -> Iterator[SimpleQueue[Path]]:
    """Copies of the tree as it is, changes that aren't committed and new files included."""
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
