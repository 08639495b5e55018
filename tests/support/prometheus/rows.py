"""The rows of a response, unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.prometheus.http_session import Row


class Rows:
    """A reader that keeps all rows."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def take(self, row: Row) -> None:
        self._rows.append(row)

    def result(self) -> list[Row]:
        return self._rows
