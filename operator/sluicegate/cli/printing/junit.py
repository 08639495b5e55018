"""`-o junit`: results as a file that the test report of a pipeline reads.

The format is that of JUnit's Ant task, which GitLab, Jenkins and GitHub's reporters read: one testsuite,
a testcase for each subject, a failure in each that is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from sluicegate.views.plain_text import clean_text

JUNIT: Final = "junit"
"""Name of the format."""


@dataclass(frozen=True, slots=True)
class JunitCase:
    """A subject that was checked.

    Attributes
    ----------
    name : of the subject. failures : why it is refused; empty where nothing is wrong.
    notes : lines that people read beside it. error : why it could not be checked; empty if it was.
    """

    name: str
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""


def as_junit(suite: str, cases: Iterable[JunitCase]) -> str:
    """Format cases as one testsuite; characters that XML doesn't allow are removed."""
    case_list = list(cases)
    failed = sum(bool(case.failures) for case in case_list)
    errors = sum(bool(case.error) for case in case_list)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name={_quoted(suite)} tests="{len(case_list)}" failures="{failed}" errors="{errors}">',
    ]
    for case in case_list:
        lines.append(f"  <testcase classname={_quoted(suite)} name={_quoted(case.name)}>")
        if case.failures:
            text = escape("\n".join(map(clean_text, case.failures)))
            lines.append(f"    <failure message={_quoted(case.failures[0])}>{text}</failure>")
        if case.error:
            lines.append(
                f"    <error message={_quoted(case.error)}>{escape(clean_text(case.error))}</error>"
            )
        if case.notes:
            text = escape("\n".join(map(clean_text, case.notes)))
            lines.append(f"    <system-out>{text}</system-out>")
        lines.append("  </testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def _quoted(text: str) -> str:
    return quoteattr(clean_text(text))
