"""The monitor of BentoML for a product with `serving.log`: monitored values are in the rows of the log.

A service that calls `bentoml.monitor` keeps its lines. What it monitors in a request goes into the
row of that request, so it is sampled, redacted and kept as the row is, and its label joins it. The
files of BentoML's default monitor would end with the pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bentoml.monitoring import MonitorBase
from typing_extensions import override

from sluicegate_service.answers import current_answer

if TYPE_CHECKING:
    from collections import deque


class LoggedMonitor(MonitorBase[Any]):
    """A monitor whose records are part of the logged request; those of other requests are left out."""

    @override
    def export_schema(self, columns_schema: dict[str, dict[str, str]]) -> None:
        """Do nothing: rows are JSON, whose values have their types."""

    @override
    def export_data(self, datas: dict[str, deque[Any]]) -> None:
        """Add the columns of one record to the answer of the current request."""
        answer = current_answer.get()
        if answer is None or not answer.logged:
            return
        columns = answer.monitored.setdefault(self.name, {})
        for name, values in datas.items():
            columns.setdefault(name, []).extend(_plain(value) for value in values)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: scalars and arrays of numpy as numbers and lists."""
    convert = getattr(value, "tolist", None)
    return convert() if convert is not None else value
