"""Tables for spreadsheets, as CSV; the standard library alone."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from sluicegate.views.plain_text import clean_text


def csv_text(rows: Iterable[Iterable[object]], columns: Sequence[str]) -> str:
    """Render these rows as CSV below the names of their columns."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def escape_cell(value: object) -> object:
    """Escape text that a spreadsheet would take for a formula; other values are unchanged.

    Escape sequences, control characters and those that reorder or hide text are left out: tools print
    CSV to terminals.

    Spreadsheets of many locales separate cells by semicolons, whatever quotes there are, so a text is
    escaped behind each separator, too.
    """
    return _FORMULA_START.sub("'", clean_text(value)) if isinstance(value, str) else value


_FORMULA_START: Final = re.compile(
    r"(?:^|(?<=[;\t\r\n|]))(?=[\s\"\u200b\ufeff]*[=+\-@|%＝＋－＠])|^(?=\s*[\t\r\n])"
)
"""Places in front of what begins a formula, in a cell of any locale."""
