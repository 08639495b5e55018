"""Tables of the rows of one fetch, by their labels, for lookups by product."""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from sys import intern
from typing import Any, Final

from sluicegate.prometheus.errors import MalformedAnswer
from sluicegate.prometheus.http_session import Row
from sluicegate.prometheus.metrics import ROWS_SKIPPED
from sluicegate.prometheus.targets import ProductKey, VersionKey, identity
from sluicegate.slo import metric_names as names
from sluicegate.slo.client_errors import classify_response
from sluicegate.slo.indicators import Labels, Values
from sluicegate.slo.queries import (
    OUTCOMES,
    PREDICTION_LABELS,
    REPORTED_LABELS,
    VERSION_LABELS,
    QueryKind,
)

Table = dict[Labels, Values]
"""Values by the labels that `LABELS` lists for the query."""

LABELS: Final[dict[QueryKind, Labels]] = {
    QueryKind.REQUESTS: (*VERSION_LABELS, names.SERVICE),
    QueryKind.REQUESTS_BAD: (*VERSION_LABELS, names.SERVICE, names.CODE),
    QueryKind.LATENCY: (*VERSION_LABELS, names.SERVICE, names.BOUND_LABEL),
    QueryKind.LABELLED: (*PREDICTION_LABELS, names.OUTCOME),
    QueryKind.LABELLED_BY_AGE: (*PREDICTION_LABELS, names.OUTCOME, names.AGE),
    QueryKind.PAIRED: (*PREDICTION_LABELS, *OUTCOMES[names.PAIRED_PREDICTIONS]),
    QueryKind.EVENTS: (*PREDICTION_LABELS, names.INDICATOR, names.OUTCOME),
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
    QueryKind.MARKETS: (*PREDICTION_LABELS, names.INDICATOR, names.OUTCOME, names.MARKET),
    QueryKind.COUNTERS: (*REPORTED_LABELS, names.COUNTER, names.LAG),
    QueryKind.GAUGES: (*VERSION_LABELS, names.COUNTER, names.FACT_LABEL),
    QueryKind.PROMQL: (*VERSION_LABELS, names.COUNTER, names.FACT_LABEL),
    QueryKind.INPUTS: (names.NAMESPACE, names.PRODUCT, names.COUNTER),
    QueryKind.TARGETS: (*VERSION_LABELS, names.FACT_LABEL),
    QueryKind.CPU: (*VERSION_LABELS, names.FACT_LABEL),
    QueryKind.MEMORY: VERSION_LABELS,
    QueryKind.GATEWAY: (names.BACKEND,),
    QueryKind.SENT: (names.BACKEND, names.FACT_LABEL),
    QueryKind.HISTOGRAM: (
        names.NAMESPACE,
        names.PRODUCT,
        names.ENDPOINT,
        names.CODE,
        names.BOUND_LABEL,
    ),
    QueryKind.CALLERS: (names.NAMESPACE, names.PRODUCT, names.CONSUMER, names.OUTCOME),
}
"""Labels that distinguish the rows of each query, in this order."""
KINDS_WITHOUT_VERSION: Final = frozenset(
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

KINDS_WITH_REPORTER: Final = frozenset(
    {
        QueryKind.LABELLED,
        QueryKind.LABELLED_BY_AGE,
        QueryKind.PAIRED,
        QueryKind.EVENTS,
        QueryKind.MARKETS,
    }
)
"""Queries whose rows have the version that made a prediction, and the version whose pods counted it."""

IGNORED: Final = "ignored"
"""Label of what pods of a version counted for other versions, though no labels lead to them."""
MAX_OWN_ROWS: Final = 200
"""Most rows of a product's own query: good and all events of its versions, of which twenty are kept."""


class TableReader:
    """Reader of rows into a table, with the transformations of each kind: see `_row_key`.

    NaN and Inf are kept: `read_block` checks them.
    """

    def __init__(
        self,
        kind: QueryKind,
        *,
        step: int,
        skipped_products: dict[ProductKey, str] | None = None,
        unaccepted: AbstractSet[VersionKey] = frozenset(),
    ) -> None:
        """Store the settings.

        `skipped_products` receives the products whose rows can't be read, and the reason. Rows that
        pods of the versions `unaccepted` counted for other versions count for none: they are kept
        under the label `IGNORED` of the version that counted them.
        """
        self._kind = kind
        self._unaccepted = unaccepted if kind in KINDS_WITH_REPORTER else frozenset()
        self._skipped = {} if skipped_products is None else skipped_products
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
        if self._kind is QueryKind.PROMQL and len(self._table) >= MAX_OWN_ROWS:
            raise MalformedAnswer(
                f"more than {MAX_OWN_ROWS} series in the answer to {self._kind}: its labels version and"
                " revision have too many values"
            )
        try:
            metric = row["metric"]
            ignored_key = _ignored_key(metric, self._unaccepted) if self._unaccepted else None
            values = self._table[ignored_key or _row_key(self._kind, metric)]
            for sample_time, value in row["values"]:
                index = round(sample_time / self._step)
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


def _ignored_key(metric: dict[str, Any], reporters: AbstractSet[VersionKey]) -> Labels | None:
    """Return the key of all ignored rows of a version's pods.

    It is None unless pods of one of the reporters counted a prediction that another version made.
    """
    namespace, product, version, revision, *maker = (
        metric.get(label, "") for label in REPORTED_LABELS
    )
    reporter = VersionKey(namespace, product, identity(version, revision))
    if reporter not in reporters or identity(*maker) in {"", reporter.version}:
        return None
    return (*reporter, IGNORED)


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
        prediction_labels = key[4:6]
        del key[4:6]
        key[2:4] = prediction_labels if prediction_labels[0] else key[2:4]
    if kind is QueryKind.PAIRED:
        key[4:6] = [identity(*key[4:6])]
    if kind not in KINDS_WITHOUT_VERSION:
        key[2:4] = [identity(*key[2:4])]
    return tuple(key)
