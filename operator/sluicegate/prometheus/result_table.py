"""Tables of the rows of one fetch, by their labels, for lookups by product."""

from collections import defaultdict
from sys import intern
from typing import Any, Final

from sluicegate.prometheus.errors import MalformedAnswer
from sluicegate.prometheus.http_session import Row
from sluicegate.prometheus.metrics import ROWS_SKIPPED
from sluicegate.prometheus.targets import ProductKey, identity
from sluicegate.slo import metric_names as names
from sluicegate.slo.client_errors import classify_response
from sluicegate.slo.indicators import Labels, Values
from sluicegate.slo.queries import BY_PREDICTION, BY_VERSION, OUTCOMES, QueryKind

Table = dict[Labels, Values]
"""Values by the labels that `LABELS` lists for the query."""

LABELS: Final[dict[QueryKind, Labels]] = {
    QueryKind.REQUESTS: (*BY_VERSION, names.SERVICE),
    QueryKind.REQUESTS_BAD: (*BY_VERSION, names.SERVICE, names.CODE),
    QueryKind.LATENCY: (*BY_VERSION, names.SERVICE, names.BOUND),
    QueryKind.LABELLED: (*BY_PREDICTION, names.OUTCOME),
    QueryKind.LABELLED_BY_AGE: (*BY_PREDICTION, names.OUTCOME, names.AGE),
    QueryKind.PAIRED: (*BY_PREDICTION, *OUTCOMES[names.PAIRED]),
    QueryKind.EVENTS: (*BY_PREDICTION, names.INDICATOR, names.OUTCOME),
    QueryKind.UPSTREAMS: (
        names.NAMESPACE,
        names.PRODUCT,
        names.UPSTREAM,
        names.UPSTREAM_REVISION,
        names.INDICATOR,
        names.OUTCOME,
        names.AGE,
        names.RESULT,
    ),
    QueryKind.MARKETS: (*BY_PREDICTION, names.INDICATOR, names.OUTCOME, names.MARKET),
    QueryKind.COUNTERS: (*BY_VERSION, *BY_PREDICTION[2:], names.COUNTER, names.LAG),
    QueryKind.GAUGES: (*BY_VERSION, names.COUNTER, names.FACT),
    QueryKind.PROMQL: (*BY_VERSION, names.COUNTER, names.FACT),
    QueryKind.INPUTS: (names.NAMESPACE, names.PRODUCT, names.COUNTER),
    QueryKind.TARGETS: (*BY_VERSION, names.FACT),
    QueryKind.CPU: (*BY_VERSION, names.FACT),
    QueryKind.MEMORY: BY_VERSION,
    QueryKind.GATEWAY: (names.BACKEND,),
    QueryKind.SENT: (names.BACKEND, names.FACT),
    QueryKind.HISTOGRAM: (
        names.NAMESPACE,
        names.PRODUCT,
        names.ENDPOINT,
        names.CODE,
        names.BOUND,
    ),
    QueryKind.CALLERS: (names.NAMESPACE, names.PRODUCT, names.CONSUMER, names.OUTCOME),
}
"""Labels that distinguish the rows of each query, in this order."""
WITHOUT_VERSION: Final = frozenset(
    {
        QueryKind.GATEWAY,
        QueryKind.SENT,
        QueryKind.HISTOGRAM,
        QueryKind.CALLERS,
        QueryKind.INPUTS,
        QueryKind.UPSTREAMS,
    }
)
"""Queries whose rows have no label of a version."""

MOST_OWN_ROWS: Final = 200
"""Most rows of a product's own query: good and all events of its versions, of which twenty are kept."""


class TableReader:
    """Reader of rows into a table, with the transformations of each kind: see `_row_key`.

    NaN and Inf are kept: `read_block` checks them.
    """

    def __init__(
        self, kind: QueryKind, *, step: int, skipped: dict[ProductKey, str] | None = None
    ) -> None:
        """Store the settings.

        `skipped` is called with the products whose rows can't be read, and the reason.
        """
        self._kind = kind
        self._skipped = {} if skipped is None else skipped
        self._step = step
        self._table: Table = defaultdict(dict)
        self._indexes: dict[int, int] = {}
        """One number per block, not one per row and block."""

    def take(self, row: Row) -> None:
        """Read a row; rows with the same labels are added up.

        An unreadable row is skipped with its product in this answer, because missing rows must not
        count as zero. An unreadable row without a product makes the whole answer unusable.
        """
        if "histograms" in row:
            self._skip(row["metric"], f"native histograms in the answer to {self._kind}")
            return
        if self._kind is QueryKind.PROMQL and len(self._table) >= MOST_OWN_ROWS:
            raise MalformedAnswer(
                f"more than {MOST_OWN_ROWS} series in the answer to {self._kind}: its labels version and"
                " revision have too many values"
            )
        try:
            values = self._table[_row_key(self._kind, row["metric"])]
            for at, value in row["values"]:
                index = round(at / self._step)
                index = self._indexes.setdefault(index, index)
                values[index] = values.get(index, 0.0) + float(value)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._skip(row["metric"], f"an unreadable row in the answer to {self._kind}: {error}")

    def _skip(self, metric: Any, reason: str) -> None:
        labels = metric if isinstance(metric, dict) else {}
        key = ProductKey(labels.get(names.NAMESPACE, ""), labels.get(names.PRODUCT, ""))
        if not all(key):
            raise MalformedAnswer(reason)
        ROWS_SKIPPED.inc()
        self._skipped.setdefault(key, reason)

    def result(self) -> Table:
        """Return the table."""
        return dict(self._table)


def _row_key(kind: QueryKind, metric: dict[str, Any]) -> Labels:
    """Return the labels of a row in the order of `LABELS`.

    A bucket's bound is compared as a number ("1.0" is "1"), and a status code is replaced by its
    class. A raw counter counts for the version that made the prediction, if it has that label, else
    for the version of its pod. Version and revision are joined: see `targets.identity`. Names are
    interned, as each answer repeats those of thousands of products.
    """
    key = [intern(metric.get(label, "")) for label in LABELS[kind]]
    if kind in {QueryKind.LATENCY, QueryKind.HISTOGRAM} and key[-1]:
        key[-1] = str(float(key[-1]))
    if kind is QueryKind.REQUESTS_BAD:
        key[-1] = classify_response(key[-1])
    if kind is QueryKind.COUNTERS:
        predicted = key[4:6]
        del key[4:6]
        key[2:4] = predicted if predicted[0] else key[2:4]
    if kind is QueryKind.PAIRED:
        key[4:6] = [identity(*key[4:6])]
    if kind not in WITHOUT_VERSION:
        key[2:4] = [identity(*key[2:4])]
    return tuple(key)
