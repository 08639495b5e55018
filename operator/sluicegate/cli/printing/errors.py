"""Errors in the format that `-o` selects: an answer that a program reads is followed, or replaced, by a document.

The line for people is on standard error in each format.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from sluicegate.cli.printing.junit import JUNIT, JunitCase, as_junit
from sluicegate.cli.printing.output import document, write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sluicegate.errors import Problem

MACHINE_FORMATS: Final = frozenset({"json", "yaml", JUNIT})
"""Formats that have errors, too."""


def write_error(
    output: str, command: str, message: str, *, exit_code: int, problems: Iterable[Problem] = ()
) -> None:
    """Print an error on standard output; `output` is one of `MACHINE_FORMATS`."""
    if output == JUNIT:
        case = JunitCase(command, error=message)
        sys.stdout.write(as_junit(f"sluicegate {command}", [case]))
        return
    error = document(
        "CommandError",
        command=command,
        exitCode=exit_code,
        message=message,
        problems=[{"field": problem.path, "message": problem.message} for problem in problems],
    )
    if output == "yaml":
        sys.stdout.write("---\n")  # it may follow other documents
    write(error, output)
