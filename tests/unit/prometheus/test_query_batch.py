"""Above the limit the queries are split: nothing is lost, nothing is read twice, nothing is too long."""

from collections import Counter
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.prometheus_stand_in import PrometheusStandIn
from benchmarks.virtual.selectors import all_match, parse_matchers
from sluicegate.api.slos import Indicator
from sluicegate.prometheus import query_scopes
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.query_scopes import NAMES_PER_SCOPE, named_scopes, split_scopes
from sluicegate.prometheus.targets import ProductKey, Readings, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.settings import parse_settings
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import Needs, QueryKind, render_queries
from sluicegate.stats.counts import Count
from sluicegate.wiring import evaluation_settings
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.measured_world import ProductBlocks, World
from tests.support.prometheus.selecting import Selecting

NAMES_PER_QUERY = 50

SLOS = {"availability": Indicator(availability={})}
NOW = 300 * 1_000 + 60.0
"""Block 1000 is complete; 999 is read with it."""
FORM_BYTES = 10 * 2**20
"""What Go's `net/http` reads of a form; Prometheus doesn't change that."""
LONGEST_NAMESPACE, LONGEST_PRODUCT = 63, 40
"""Characters, by Kubernetes' rule and by ours."""


def target(namespace: str, product: str, **changes) -> Target:
    settings = {"key": ProductKey(namespace, product), "versions": ("v1",), "slos": SLOS}
    return Target(**settings | changes)


def matched(scope: Scope, targets: list[Target]) -> list[ProductKey]:
    """Return the targets that a scope's matchers select."""
    matchers = parse_matchers(", ".join(scope.matchers()))
    assert len(matchers) == 2
    return [one.key for one in targets if all_match(matchers, one.key._asdict())]


# ---- which scopes there are ---------------------------------------------------------------

# Few and short names that are prefixes of each other, with what a pattern could misread.
NAMES = st.text(alphabet="ab.-", min_size=1, max_size=3)
TARGETS = st.lists(st.builds(target, NAMES, NAMES), max_size=40, unique_by=lambda one: one.key)


@given(targets=TARGETS, limit=st.integers(1, 12))
@example(targets=[target("a", name) for name in ("a", "aa", "a.b", "aab")], limit=2)
def test_each_target_lies_in_exactly_one_scope_and_no_scope_holds_more_than_the_limit(
    targets, limit
):
    held = [matched(scope, targets) for scope in split_scopes(targets, limit)]
    assert all(0 < len(keys) <= limit for keys in held)
    assert Counter(key for keys in held for key in keys) == Counter(one.key for one in targets)


@given(targets=TARGETS, limit=st.integers(1, 12))
def test_the_named_scopes_of_canaries_cover_all_of_them(targets, limit):
    scopes = named_scopes(targets, limit)
    assert {key for scope in scopes for key in matched(scope, targets)} == {t.key for t in targets}
    assert all(len(scope.products) <= limit for scope in scopes)
    assert len(scopes) == -(-len(targets) // limit)


@given(targets=TARGETS, limit=st.integers(1, 40), most=st.integers(1, 5))
def test_a_query_scope_never_exceeds_the_query_length_limit(targets, limit, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_scopes, "NAMES_PER_SCOPE", most)
        split, named = split_scopes(targets, limit), named_scopes(targets, limit)
    for scope in (*split, *named):
        assert len(scope.namespaces) <= most
        assert len(scope.products) <= most
    held = Counter(key for scope in split for key in matched(scope, targets))
    assert held == Counter(one.key for one in targets)


def test_queries_are_split_by_the_limit_of_the_setting():
    environment = {
        "SLUICEGATE_PROMETHEUS_PRODUCTS_PER_QUERY": "7",
        "SLUICEGATE_WATCH_NAMESPACES": "catalog",
    }
    timing = Timing(scrape_seconds=5)
    settings = evaluation_settings(parse_settings(environment), timing)
    assert settings.products_per_query == 7
    assert (settings.namespaces, settings.timing) == (("catalog",), timing)
    default = evaluation_settings(parse_settings({}), timing)
    assert default.products_per_query == EvaluationSettings().products_per_query == 5_000


# ---- what a fetch reads -------------------------------------------------------------------


async def fetch(
    targets: list[Target], settings: EvaluationSettings
) -> tuple[tuple[Readings, ...], Selecting]:
    """Return one fetch from a Prometheus that measures all targets and one product without a target."""
    measured = [ProductBlocks(namespace=t.key.namespace, product=t.key.product) for t in targets]
    rows = Selecting(World([*measured, ProductBlocks(namespace="elsewhere", product="unasked")]))
    async with PrometheusStandIn(rows) as rows.server:
        endpoint = Endpoint(url=rows.server.url, timeout_seconds=60)
        async with Prometheus(endpoint) as prometheus:
            readings = await fetch_all(BlockReader(prometheus, settings), targets, NOW)
    return readings, rows


def assert_all_counted(readings: Readings, targets: list[Target]) -> None:
    assert readings.complete
    assert not readings.problem
    block = Block(readings.last, Quality.COUNTED, Count(0, 100))
    newest = {ProductKey(*key[:2]): blocks[-1] for key, blocks in readings.blocks.items()}
    assert newest == {each.key: block for each in targets}


FIVE_HUNDRED = EvaluationSettings(products_per_query=500, jitter_seconds=0)


async def test_a_namespace_above_the_query_limit_has_each_block_read_exactly_once():
    targets = [target("catalog", f"product-{number}") for number in range(501)]
    (readings,), rows = await fetch(targets, FIVE_HUNDRED)
    assert_all_counted(readings, targets)
    assert {facts.memory_used for facts in readings.facts.values()} == {0.4}
    assert {rows.served["requests", each.key] for each in targets} == {1}
    assert {rows.served["memory", each.key] for each in targets} == {1}
    kinds = {"targets", "requests", "requests_bad", "cpu", "memory"}
    assert rows.server.queries == dict.fromkeys(kinds, 2)


async def test_whole_namespaces_share_a_query_and_a_large_one_is_split_by_names():
    small = [target(f"ns-{number % 3}", f"product-{number}") for number in range(30)]
    large = [target("large", f"product-{number}") for number in range(25)]
    settings = EvaluationSettings(products_per_query=20, jitter_seconds=0)
    (readings,), rows = await fetch([*small, *large], settings)
    assert_all_counted(readings, [*small, *large])
    # Two scopes of ten and twenty, and two of twenty and five names.
    assert set(rows.server.queries.values()) == {4}
    assert {count for (kind, _), count in rows.served.items() if kind == "requests"} == {1}
    assert ProductKey("elsewhere", "unasked") not in {key for _, key in rows.served}


async def test_more_canaries_than_the_limit_are_read_by_several_queries():
    began = int(NOW) - 600
    targets = [target("catalog", f"product-{number}", canary_from=began) for number in range(7)]
    settings = EvaluationSettings(products_per_query=3, jitter_seconds=0)
    readings, rows = await fetch(targets, settings)
    assert_all_counted(next(each for each in readings if each.canary), targets)
    # Three of the seven by names, and as many of all.
    assert rows.server.queries["requests"] == 3 + 3
    assert rows.server.queries["memory"] == 3


# ---- how long a query is ------------------------------------------------------------------

COUNTERS = frozenset((f"counter_{number:03d}_total", 0) for number in range(3))
GAUGES = frozenset(f"gauge_{number:03d}" for number in range(25))


def names(count: int, length: int) -> list[str]:
    return [f"{number:0{length}d}" for number in range(count)]


@pytest.fixture(
    params=[
        "canaries",
        pytest.param("namespaces", marks=pytest.mark.nightly),
        pytest.param("products", marks=pytest.mark.nightly),
    ]
)
def longest_scope(request) -> Scope:
    """Return the most that a scope may name, in names of full length."""
    namespaces = names(NAMES_PER_SCOPE, LONGEST_NAMESPACE)
    products = names(NAMES_PER_SCOPE, LONGEST_PRODUCT)
    if request.param == "products":
        crowded = [target("x" * LONGEST_NAMESPACE, name) for name in (*products, "one-more")]
        return split_scopes(crowded, NAMES_PER_SCOPE)[0]
    spread = [target(*key) for key in zip(namespaces, products, strict=True)]
    split = named_scopes if request.param == "canaries" else split_scopes
    return split(spread, 100_000)[0]


@pytest.mark.slow
def test_no_query_exceeds_the_form_size_limit_of_prometheus(longest_scope: Scope):
    needs = Needs(frozenset({250, 1_000}), True, True, True, COUNTERS, GAUGES)
    asked: Counter[str] = Counter()
    for query in render_queries(longest_scope, 300, needs):
        form = {"query": query.text, "start": NOW, "end": NOW, "step": 300, "timeout": 20}
        assert len(urlencode(form)) < FORM_BYTES, query.kind
        if query.kind in {QueryKind.COUNTERS, QueryKind.GAUGES}:
            asked.update(name for name in GAUGES if f'"{name}"' in query.text)
            asked.update(name for name, _ in COUNTERS if f'"{name}"' in query.text)
    assert asked == dict.fromkeys([*GAUGES, *(name for name, _ in COUNTERS)], 1)


@pytest.mark.parametrize("products", [1, 100])
def test_a_query_of_few_products_has_room_for_the_maximum_number_of_counters(products):
    scope = Scope(("catalog",), tuple(names(products, LONGEST_PRODUCT)))
    counters = frozenset((f"counter_{number}_total", 0) for number in range(NAMES_PER_QUERY))
    asked = Counter(query.kind for query in render_queries(scope, 300, Needs(counters=counters)))
    assert asked[QueryKind.COUNTERS] == 1
