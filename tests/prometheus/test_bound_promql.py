"""A user's PromQL, bound to a namespace, before two real Prometheuses that differ in other namespaces.

Whatever is written, both answer the same: so it reads nothing of the others. And where there are no
others, what is bound answers as what was written: so nothing else of it is changed.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluicegate.api.bound_promql import bind_promql
from tests.support.prometheus.server import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

OWN, OTHER = "shop", "rival"
MINUTES = 30


def exposition(namespaces: tuple[str, ...], newest: int) -> str:
    """Return counters of two versions, each half minute, as OpenMetrics: those of others count faster."""
    lines = ["# TYPE a counter", "# TYPE b counter"]
    for metric in ("a", "b"):
        for namespace in namespaces:
            for version, pace in (("v1", 3), ("v2", 7)):
                labels = f'namespace="{namespace}",version="{version}",kind="{metric * 2}"'
                for number in range(2 * MINUTES + 1):
                    at = newest - 30 * (2 * MINUTES - number)
                    value = number * pace * (1 if namespace == OWN else 100)
                    lines.append(f"{metric}_total{{{labels}}} {value} {at}")
    return "\n".join([*lines, "# EOF", ""])


@dataclass(frozen=True)
class Servers:
    """With the other namespace, and without it."""

    shared: str
    alone: str
    now: int

    def ask(self, url: str, expression: str) -> object:
        """Return the answer to the query at this moment, or its refusal."""
        answer = requests.get(
            f"{url}/api/v1/query", {"query": expression, "time": self.now}, timeout=30
        ).json()
        if answer["status"] != "success":
            return answer["errorType"]
        rows = answer["data"]["result"]
        return sorted((sorted(row["metric"].items()), row["value"]) for row in rows)


@pytest.fixture(scope="module")
def servers(
    prometheus_program: Path, promtool: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("bound")
    now = int(time.time()) // 60 * 60 - 3 * 3600  # blocks that lie in the past
    with ExitStack() as stack:
        urls = []
        for name, namespaces in (("shared", (OWN, OTHER)), ("alone", (OWN,))):
            text, where = folder / f"{name}.txt", folder / name
            where.mkdir()
            text.write_text(exposition(namespaces, now))
            subprocess.run(
                [promtool, "tsdb", "create-blocks-from", "openmetrics", text, where / "tsdb"],
                check=True,
                capture_output=True,
            )
            server = prometheus(
                *(prometheus_program, where, {}),
                "--storage.tsdb.retention.time=10d",
                "--enable-feature=promql-experimental-functions",
            )
            urls.append(stack.enter_context(server))
        yield Servers(urls[0], urls[1], now)


SELECTORS = st.sampled_from(
    ["a_total", 'a_total{version="v1"}', 'b_total{version=~"v.*"}', '{__name__=~"[ab]_total"}',
     'a_total{version!="v2"}', 'b_total{kind!~"b+"}', "missing_total", 'a_total{nothing=""}',
     "a_total offset 5m", '{version="v1", __name__!="a_total"}'],
)  # fmt: skip
LABELS = st.lists(st.sampled_from(["version", "kind", "namespace"]), unique=True).map(", ".join)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    ranges = st.sampled_from(["$block", "7m"])
    return st.one_of(
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["+", "/", "> bool"]), inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or", "unless"]), inner),
        st.builds("({}) * on ({}) ({})".format, inner, LABELS, inner),
        st.builds("({}) - ignoring ({}) ({})".format, inner, LABELS, inner),
        st.builds("({}) * on (version) group_left () ({})".format, inner, inner),
        st.builds(
            "{} by ({}) ({})".format, st.sampled_from(["sum", "max", "count"]), LABELS, inner
        ),
        st.builds("{} without ({}) ({})".format, st.sampled_from(["sum", "avg"]), LABELS, inner),
        # More than there ever are: which of equal ones is left out is by chance.
        st.builds("topk by ({}) (99, {})".format, LABELS, inner),
        st.builds('count_values("seen", {})'.format, inner),
        st.builds(
            'label_replace({}, "{}", "x", "", "")'.format,
            inner,
            st.sampled_from(["namespace", "y"]),
        ),
        st.builds(
            "{}({}[{}])".format,
            st.sampled_from(["increase", "max_over_time"]),
            SELECTORS.filter(lambda text: "offset" not in text),
            ranges,
        ),
        st.builds("{}({})".format, st.sampled_from(["absent", "abs", "-", "sort"]), inner),
        st.builds("vector(scalar({}))".format, inner),
    )


EXPRESSIONS = st.recursive(SELECTORS, combined, max_leaves=6)


@given(expression=EXPRESSIONS)
@example(expression='sum(a_total) + absent(c_total{kind!~"b+"})')
@settings(max_examples=150)
def test_a_bound_expression_reads_only_its_namespace_and_is_otherwise_unchanged(
    servers: Servers, expression: str
):
    bound = bind_promql(expression, OWN, 300)
    written = expression.replace("$block", "300s")

    answer = servers.ask(servers.shared, bound)

    assert answer == servers.ask(servers.alone, bound)
    assert answer == servers.ask(servers.alone, written)


HOSTILE = [
    '{__name__=~".+"}', '{"a_total", version!=""}', 'a_total # } or {namespace="rival"}',
    'a_total{version!="\\", namespace=\\"rival"}', 'a_total{version!=`"} or a_total{x="`}',
    'a_total{version=~"$block|v1"}', 'a_total{version=~"v1\\nx|v1"}', 'a_total{version!="\\x00\\u2028"}',
    'label_replace(a_total, "namespace", "rival", "", "") or a_total',
    'a_total * on () group_left () sum(label_replace(b_total, "namespace", "rival", "", ""))',
    'label_join(a_total, "__name__", "", "kind")', 'count_values("namespace", a_total)',
    'sum by (__name__, namespace) ({version=~".+"})', "vector(time())", "absent(c_total)",
    'absent(c_total{product="x"}) or a_total', "limitk(1, a_total)", "limit_ratio(0.5, a_total)",
    'sort_by_label(a_total, "namespace")', "a_total offset -5m", "increase(a_total[1d])",
    "a_total and on () vector(1)", "-a_total ^ 2", "a_total unless b_total or a_total and b_total",
    "quantile by (namespace) (0.5, a_total)", "a_total / 0 - a_total / 0", "timestamp(a_total)",
    "scalar(a_total) + a_total", "topk(scalar(sum(a_total)), a_total)",
]  # fmt: skip


@pytest.mark.parametrize("expression", HOSTILE)
def test_no_injected_matcher_reads_another_namespace(servers: Servers, expression: str):
    bound = bind_promql(expression, OWN, 300)

    assert servers.ask(servers.shared, bound) == servers.ask(servers.alone, bound)


def test_an_unbound_expression_reads_the_other_namespace(servers: Servers):
    written = "sum(increase(a_total[300s]))"
    assert servers.ask(servers.shared, written) != servers.ask(servers.alone, written)
    assert servers.ask(servers.alone, written)
