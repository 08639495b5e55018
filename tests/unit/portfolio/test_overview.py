"""The sentence, the queue, the rows, the matrix."""

from __future__ import annotations

import pytest

from sluicegate.api.slo_status import SloState
from sluicegate.portfolio.matrix import market_of, matrix_of
from sluicegate.portfolio.overview import Wanted, choices_of, overview_of, table_rows
from sluicegate.views.needs import NeedKind
from sluicegate.views.product_facts import (
    HIDDEN_PRODUCT,
    facts_for_reader,
    facts_of,
    name_concealer,
    unreadable_facts,
)
from tests.support.portfolio.products import (
    condition,
    degraded,
    product,
    slo,
    waiting_for_approval,
)

HEALTHY = facts_of(product("search", "catalog", spec={"owner": "catalog", "markets": ["FR"]}))
BAD = facts_of(product(status=degraded(), spec={"priority": "Low", "displayName": "Pricing"}))
WORSE = facts_of(product("ads", status=degraded(), spec={"priority": "Critical"}))
WAITS = facts_of(product("eta", "logistics", status=waiting_for_approval()))
ALL = [HEALTHY, BAD, WORSE, WAITS]


def test_the_summary_counts_states_and_needs_and_names_degraded_products():
    assert overview_of(ALL).sentence == (
        "4 products: 2 healthy, 2 degraded. Degraded: ads, Pricing. 3 need a person: 1 approval,"
        " 2 degradations without a remedy."
    )
    assert overview_of([HEALTHY]).sentence == "1 product: 1 healthy. No product needs a person."
    assert overview_of([]).sentence == "You can see no product."


def test_the_queue_is_ordered_by_urgency_and_then_by_priority():
    queue = overview_of(ALL).queue
    assert [(one.key[1], need.kind) for one, need in queue] == [
        ("eta", NeedKind.APPROVAL), ("ads", NeedKind.DEGRADED), ("pricing", NeedKind.DEGRADED),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("desired", "found"),
    [
        (Wanted(), {"search", "pricing", "ads", "eta"}),
        (Wanted(team="catalog"), {"search"}),
        (Wanted(market="AT"), {"pricing", "ads", "eta"}),
        (Wanted(state="Degraded"), {"pricing", "ads"}),
        (Wanted(need="any"), {"pricing", "ads", "eta"}),
        (Wanted(need="Approval"), {"eta"}),
        (Wanted(text="LOGISTICS et"), {"eta"}),
        (Wanted(domain="pricing", namespace="logistics"), {"eta"}),
    ],
)
def test_the_overview_is_filtered_by_team_market_and_state(desired, found):
    assert {table_row.key[1] for table_row in table_rows(ALL, desired)} == found


def test_the_overview_is_sorted_as_requested_and_by_state_for_an_unknown_order():
    by = [table_row.key[1] for table_row in table_rows(ALL, Wanted(), "nonsense")]
    assert by == ["ads", "pricing", "search", "eta"]
    assert table_rows(ALL, Wanted(), "name", backwards=True)[0] is HEALTHY
    assert table_rows(ALL, Wanted(), "change")[0] in (BAD, WORSE)


def test_the_filter_options_are_those_of_the_products():
    found = choices_of(ALL)
    assert (found.teams, found.markets) == (("catalog", "pricing"), ("AT", "FR"))


def test_the_worst_slo_and_the_largest_drop_have_their_numbers():
    assert (BAD.worst_slo.slo, BAD.worst_slo.state, BAD.worst_slo.budget_left) == (
        "accuracy",
        "Missed",
        -0.31,
    )
    assert BAD.worst_slo.budget_slo == "accuracy"
    assert (BAD.change.drop, BAD.change.lower, BAD.change.total) == (0.039, 0.018, 1200)


def test_a_degrading_product_has_no_start_time_of_its_state():
    """The condition Degraded is False since long before."""
    conditions = [condition("Degraded", "False", "ObjectivesMet")]
    degrading = product(status={"state": "Degrading", "conditions": conditions})
    healthy = product(status={"state": "Healthy", "conditions": conditions})
    assert facts_of(degrading).state_since is None
    assert facts_of(healthy).state_since is not None


def test_a_market_matrix_cell_is_empty_if_the_state_is_unknown():
    found = matrix_of([HEALTHY, BAD])
    assert found.markets == ("AT", "FR")
    assert found.rows[0].cells == (SloState.MISSED, SloState.MET)
    assert found.rows[1].cells == (None, None)
    assert found.rows[1].absent == {"AT"}
    assert found.totals[0] == {SloState.MISSED: 1}


def test_the_matrix_has_the_product_with_the_worst_state_in_any_market_first():
    def named(name, *states):
        markets = [
            {"market": one, "state": state} for one, state in zip(("AT", "FR"), states, strict=True)
        ]
        return facts_of(product(name, status={"slos": [slo("accuracy", markets=markets)]}))

    met, unknown, risky = (
        named(name, "Met", state)
        for name, state in (("b", "Met"), ("c", "Unknown"), ("d", "AtRisk"))
    )
    found = matrix_of([HEALTHY, met, unknown, risky, BAD, WORSE])
    names = [row.product.key[1] for row in found.rows]
    assert names == ["ads", "pricing", "d", "c", "b", "search"]


def test_a_market_lists_the_worst_product_first_and_marks_those_bad_there_alone():
    found = market_of([HEALTHY, BAD, WORSE], "AT")
    assert [(one.product.key[1], one.alone) for one in found] == [("ads", True), ("pricing", True)]
    assert (found[0].level.slo, found[0].level.ratio, found[0].level.total) == (
        "accuracy",
        0.71,
        310,
    )
    assert [one.level for one in market_of([HEALTHY], "FR")] == [None]


def test_a_market_omitted_from_status_counts_as_met_only_after_a_met_market():
    def by_market(*states):
        markets = [
            {"market": one, "state": state} for one, state in zip("XYZ", states, strict=True)
        ]
        named = [market | {"market": f"A{market['market']}"} for market in markets]
        status = {"slos": [slo("accuracy", markets=named)]}
        spec = {"markets": ["AX", "AY", "AZ", "FR"]}
        return facts_of(product(spec=spec, status=status)).by_market.get("FR")

    assert by_market("Missed", "Unknown", "Met").state == SloState.MET
    assert by_market("Missed", "Missed", "Unknown").state == SloState.UNKNOWN


def test_a_missed_market_without_numbers_in_status_counts_as_missed():
    markets = [{"market": market, "state": "Missed"} for market in ("AT", "BE", "ES")]
    when = "2026-01-01T00:00:00Z"
    record = {"missedMarkets": dict.fromkeys(("AT", "BE", "ES", "FR"), when)}
    status = {"slos": [slo("accuracy", markets=markets)], "engine": {"slos": {"accuracy": record}}}
    spec = {"markets": ["AT", "BE", "ES", "FR", "GB"]}
    levels = facts_of(product(spec=spec, status=status)).by_market
    assert levels["FR"].state == SloState.MISSED
    assert levels["GB"].state == SloState.UNKNOWN


def test_a_market_is_not_met_while_one_of_its_slos_is_unknown():
    markets = [{"market": market, "state": "Met"} for market in ("AT", "BE", "ES")]
    unknown = [market | {"state": "Unknown"} for market in markets]
    status = {"slos": [slo("availability", markets=unknown), slo("latency", markets=markets)]}
    spec = {"markets": ["AT", "BE", "ES", "FR"]}
    levels = facts_of(product(spec=spec, status=status)).by_market
    assert {name: one.state for name, one in levels.items()} == dict.fromkeys(
        ("AT", "BE", "ES", "FR"), SloState.UNKNOWN
    )


def test_an_unreadable_object_is_listed_as_a_product_that_needs_a_person():
    one = unreadable_facts({"metadata": {"namespace": "a", "name": "b"}}, "spec.owner: is missing")
    assert [need.kind for need in one.needs] == [NeedKind.STALLED]
    assert overview_of([one]).states == {"Unknown": 1}


def test_names_of_unreadable_products_are_concealed():
    text = "UpstreamDegraded: the upstream secret/core is degraded, secret/core-2 is not"
    depends = {"dependsOn": [{"namespace": "secret", "name": "core"}, {"name": "ads"}]}
    status = degraded(message=text) | {
        "dependencies": [{"namespace": "secret", "name": "core", "state": "Degraded"}]
    }
    seen = facts_for_reader(
        facts_of(product(spec=depends, status=status)), {"pricing"}.__contains__
    )
    assert [one.key for one in seen.upstream] == [None, ("pricing", "ads")]
    assert seen.upstream[0].state == "Degraded"
    assert "secret/core " not in seen.needs[0].message
    assert "a product you can't see is degraded, secret/core-2" in seen.needs[0].message


def test_concealing_replaces_whole_names_of_unreadable_products_only():
    conceal = name_concealer({"open"}.__contains__, {("a", "b"), ("open", "b")}.__contains__)
    text = "a/b, xa/b, a/b-c, open/b, reg/a/b@sha256:1, a/b."
    assert (
        conceal(text)
        == f"{HIDDEN_PRODUCT}, xa/b, a/b-c, open/b, reg/a/b@sha256:1, {HIDDEN_PRODUCT}."
    )
