"""Which mutants mypy refuses: `make check` would never pass them, whatever the tests say.

Swapped arguments of two types are the most of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from itertools import zip_longest
from typing import TYPE_CHECKING

from tests.mutants.mutant import CODE, ROOT, Mutant
from tests.mutants.running import copies

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CACHE = ".mypy_cache"
LENIENT = "--no-warn-unreachable"
"""A guard that is dropped by `False` leaves code that is never reached: only the form says so."""


def refused(mutants: Iterable[Mutant]) -> set[Mutant]:
    """Return the mutants in which mypy reports an error; a run checks one mutant of each file."""
    files: dict[Path, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        files[mutant.path].append(mutant)
    found: set[Mutant] = set()
    with copies(1) as free:
        copy = free.get()
        if (ROOT / CACHE).is_dir():  # else the first run reads all libraries
            shutil.copytree(ROOT / CACHE, copy / CACHE)
        for together in zip_longest(*files.values()):
            found |= _refused([one for one in together if one is not None], copy)
    return found


def _refused(mutants: list[Mutant], copy: Path) -> set[Mutant]:
    """Return mutants of different files, judged by one run."""
    before = {mutant: (copy / mutant.path).read_text(encoding="utf-8") for mutant in mutants}
    for one, text in before.items():
        (copy / one.path).write_text(one.applied(text), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", LENIENT, str(CODE)],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    for one, text in before.items():
        (copy / one.path).write_text(text, encoding="utf-8")
    wrong = set(re.findall(r"^(.+?\.py):\d+: error:", done.stdout, re.MULTILINE))
    return {mutant for mutant in mutants if mutant.path.as_posix() in wrong}
