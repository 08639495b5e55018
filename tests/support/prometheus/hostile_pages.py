"""Series that the pods of two tenants may leave in Prometheus: any name, any label, any value.

They have the labels that a scrape would have given: what a page calls like a label of its target
becomes `exported_…`. `input_series` writes them as `promtool test rules` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from sluicegate.slo import metric_names as names
from sluicegate.slo.promql import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SAMPLES = 61
"""Half an hour of scrapes each 30 s."""
WORDS = (
    "inf", "nan", "bool", "on", "ignoring", "group_left", "group_right", "atan2",
    "by", "without", "offset", "sum", "start", "end", "and", "or", "unless", "topk", "time", "e",
)  # fmt: skip
OURS = (names.PART_LABEL, names.COUNTER, names.LAG, names.FACT_LABEL, names.BACKEND)
SHARED = (
    names.REQUESTS, names.DURATION_BUCKETS, names.LABELLED_PREDICTIONS, names.INDICATOR_EVENTS, names.UP_METRIC,
    names.CPU_PERIODS, names.CPU_THROTTLED, names.CPU_WAITED, names.CPU_USED, names.MEMORY_USED, names.MEMORY_LIMIT,
    "traefik_service_requests_total", "dataproduct:requests:increase5m",
)  # fmt: skip
"""Names that the queries of all products ask for."""
LABELS = (
    *OURS, *names.TARGET, names.ENDPOINT, names.CODE, names.SERVICE, names.BOUND_LABEL, names.OUTCOME,
    names.INDICATOR, names.PREDICTION_VERSION, "container", "service", "metric", "values", "quantile",
)  # fmt: skip
VALUES = (
    "",
    "a",
    "b",
    "200",
    "500",
    "/predict",
    "+Inf",
    "0.25",
    "correct",
    "after_restart",
    "0",
    "v1",
)
SHAPES: dict[str, list[float | None]] = {
    "grows": [float(3 * number) for number in range(SAMPLES)],
    "restarts": [float(3 * (number % 7)) for number in range(SAMPLES)],
    "stays": [7.0] * SAMPLES,
    "is born": [None] * 33 + [float(number) for number in range(SAMPLES - 33)],
    "ends": [5.0] * 44 + [None] * (SAMPLES - 44),
    "falls": [float(-number) for number in range(SAMPLES)],
    "is no number": [float("nan")] * SAMPLES,
    "is endless": [float("inf")] * SAMPLES,
}
SENT = "httproute-catalog-victim-0-a-svc-catalog-victim-0123456789-80@kubernetesgateway"
"""What Traefik calls a version of the product catalog/victim."""


@dataclass(frozen=True)
class Line:
    """One series of a metrics page."""

    metric: str
    labels: Mapping[str, str] = field(default_factory=dict)
    shape: str = "grows"


@dataclass(frozen=True)
class Pod:
    """A pod, its page, and to which product and version it is given from which sample on."""

    name: str
    lines: tuple[Line, ...]
    namespace: str = "tenant"
    owners: tuple[tuple[str, str], ...] = (("hostile", "v1"),)
    jobs: tuple[str, ...] = ("products",)


any_case = st.sampled_from(WORDS).flatmap(
    lambda word: st.sampled_from((word, word.upper(), word.title()))
)
metrics = st.one_of(
    any_case, st.sampled_from(SHARED), st.from_regex(r"\A[a-zA-Z_:][a-zA-Z0-9_:]{0,200}\Z")
)
labels = st.dictionaries(
    st.one_of(st.sampled_from(LABELS), st.from_regex(r"\A[a-zA-Z][a-zA-Z0-9_]{0,60}\Z")),
    st.one_of(
        st.sampled_from(VALUES), st.text(st.characters(exclude_categories=("C",)), max_size=400)
    ),
    max_size=12,
)
lines = st.builds(Line, metrics, labels, st.sampled_from(sorted(SHAPES)))
owners = st.tuples(st.sampled_from(("hostile", "other")), st.sampled_from(("v1", "v2")))
pages = st.lists(lines, min_size=1, max_size=24)
"""With a few lines, of which some are written again with another value of one label."""


@st.composite
def pods(draw: st.DrawFn) -> tuple[Pod, ...]:
    """Return some pods; series of a page are twins often, but for one label of ours."""
    generated = []
    for number in range(draw(st.integers(4, 12))):
        page = draw(pages)
        twin, label = draw(st.sampled_from(page)), draw(st.sampled_from(OURS))
        page += [Line(twin.metric, {**twin.labels, label: one}, twin.shape) for one in "ab"]
        generated.append(
            Pod(
                f"p-{number}",
                tuple(page),
                draw(st.sampled_from(("tenant", "catalog"))),
                tuple(draw(st.lists(owners, min_size=1, max_size=12))),
                draw(st.sampled_from((("products",), ("products", "other")))),
            )
        )
    return tuple(generated)


def always() -> tuple[Pod, ...]:
    """Return the page that once stopped the queries for all products."""
    spelled = [form for word in WORDS for form in (word, word.upper(), word.title())]
    worded = tuple(Line(word) for word in dict.fromkeys(spelled))
    twins = tuple(
        Line(metric, {**other, label: value}, "restarts")
        for metric in (
            names.REQUESTS,
            names.LABELLED_PREDICTIONS,
            "nan",
            "traefik_service_requests_total",
        )
        for label in OURS
        for value in ("a", "b", "after_restart")
        for other in ({names.ENDPOINT: "/predict", names.CODE: "200", "service": SENT},)
    )
    container = (
        Line(names.CPU_PERIODS, {"container": "x"}),
        Line(names.CPU_THROTTLED, {"container": "x"}),
        Line(names.MEMORY_USED, {"container": "x"}, "stays"),
        Line(names.MEMORY_LIMIT, {"container": "x"}, "stays"),
        Line(names.UP_METRIC, {"other": "1"}, "stays"),
    )
    return (
        Pod("worded", worded),
        Pod("twins", twins),
        Pod("moved", container, owners=(("hostile", "v1"), ("other", "v1"), ("other", "v2")) * 5),
        Pod("twice", container, jobs=("products", "other")),
    )


Series = dict[tuple[tuple[str, str], ...], list[float | None]]
"""Values, one a scrape, by all labels; the name is one of them."""


def series_of(pod: Pod) -> Iterator[tuple[dict[str, str], int, float]]:
    """Yield all samples of a pod: labels, number of the scrape, value."""
    for job in pod.jobs:
        target = {"namespace": pod.namespace, "pod": pod.name, "job": job, "instance": pod.name}
        for number in range(SAMPLES):
            product, version = pod.owners[number * len(pod.owners) // SAMPLES]
            labels = {**target, "container": "server", "product": product, "version": version}
            yield {"__name__": names.UP_METRIC, **labels}, number, 1.0
            for line in pod.lines:
                value = SHAPES[line.shape][number]
                renamed = {
                    (f"exported_{label}" if label in labels else label): one
                    for label, one in line.labels.items()
                }
                if value is not None:
                    yield {"__name__": line.metric, **renamed, **labels}, number, value


def input_series(samples: Iterable[tuple[Mapping[str, str], int, float]]) -> list[dict[str, str]]:
    """Return the samples, each series once: the first value of a scrape holds, as in a scrape."""
    rows: Series = {}
    for labels_, number, value in samples:
        key = tuple(sorted((label, one) for label, one in labels_.items() if one))
        values = rows.setdefault(key, [None] * SAMPLES)
        if values[number] is None:
            values[number] = value
    return [
        {
            "series": f"{{{', '.join(f'{label}={quote(one)}' for label, one in key)}}}",
            "values": " ".join(map(_spelled, values)),
        }
        for key, values in rows.items()
    ]


def _spelled(value: float | None) -> str:
    return "_" if value is None else {"nan": "NaN", "inf": "+Inf"}.get(str(value), str(value))
