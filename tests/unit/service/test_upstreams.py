"""Draws for calls to upstreams, marks of their answers, and what is counted by version."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sluicegate.manifests.draw_route import prefixes_of_share
from sluicegate_service.outcomes import Event, Outcome
from sluicegate_service.tokens import TokenSigner
from sluicegate_service.upstream_outcomes import (
    LASTING_SECONDS,
    REPLACED_SECONDS,
    Met,
    UpstreamMetrics,
    UpstreamOutcomes,
)
from sluicegate_service.upstreams import (
    DRAW_BITS,
    Calls,
    CountedCalls,
    Upstream,
    current_calls,
    draw_headers,
)
from sluicegate_service.version_marks import UpstreamVersion, VersionMarks, products_in
from tests.support.processes.splitting_proxy import canary_rules

PRICING = "shop/pricing"
NAME = {"sluicegate-consumer": "shop/ranking"}
"""The header of a consumer's call without a draw."""
V1, V2, V3 = (UpstreamVersion(PRICING, f"v{number}", f"r{number}") for number in (1, 2, 3))


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outcomes(clock: Clock) -> UpstreamOutcomes:
    """Return both versions have answered just now."""
    found = UpstreamOutcomes(frozenset({PRICING}), clock)
    found.know(["sold"])
    found.meet(V1)
    found.meet(V2)
    return found


@pytest.fixture
def pricing(monkeypatch: pytest.MonkeyPatch) -> Upstream:
    monkeypatch.setenv("SLUICEGATE_NAMESPACE", "shop")
    monkeypatch.setenv("SLUICEGATE_PRODUCT", "ranking")
    return Upstream("pricing")


def series(outcomes: UpstreamOutcomes) -> dict[str, float]:
    """Return samples by their text, without those at 0."""
    registry = CollectorRegistry()
    registry.register(outcomes)
    lines = generate_latest(registry).decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def nonzero(outcomes: UpstreamOutcomes) -> list[float]:
    return [value for value in series(outcomes).values() if value]


# ---- draws -----------------------------------------------------------------------------------
@pytest.mark.parametrize("percent", range(1, 100))
def test_a_share_of_draws_is_a_few_header_prefix_matches(percent):
    """Each draw below the share has exactly one of them, and no other draw has one."""
    matched = [
        sum(
            draw_headers(draw)[f"sluicegate-draw-{len(prefix)}"] == prefix
            for prefix in prefixes_of_share(percent)
        )
        for draw in range(2**DRAW_BITS)
    ]
    share = sum(matched)
    assert matched == [1] * share + [0] * (2**DRAW_BITS - share)
    assert share == max(percent * 128 // 100, 1)
    assert len(prefixes_of_share(percent)) <= (2 if percent in {5, 25, 50} else DRAW_BITS)


def test_a_draw_is_uniform_and_the_draws_of_two_upstreams_are_independent():
    both = UpstreamOutcomes(frozenset({"a/a", "b/b"}))
    pairs = []
    for _ in range(4000):
        calls = Calls(both)
        pairs.append(tuple(calls.headers(name)["sluicegate-draw-1"] for name in ("a/a", "b/b")))
    for pair in (("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")):
        assert pairs.count(pair) == pytest.approx(1000, abs=150)


def test_all_calls_of_one_request_have_the_same_draw_and_reach_one_version(outcomes, pricing):
    token = current_calls.set(Calls(outcomes))
    try:
        first = pricing.headers()
        assert first == pricing.headers()
        assert first["sluicegate-consumer"] == "shop/ranking"
    finally:
        current_calls.reset(token)
    rules = canary_rules(PRICING, "stable", "candidate", 25)
    matching = [rule for rule in rules if rule.matches(first)]
    weights = max(matching, key=lambda rule: len(rule.headers)).weights
    is_low = first["sluicegate-draw-2"] == "00"
    assert weights == {"candidate": 1} if is_low else {"stable": 1}


def test_calls_outside_a_request_or_to_undeclared_products_have_only_the_caller_name(
    outcomes, pricing
):
    assert pricing.headers() == NAME
    token = current_calls.set(Calls(outcomes))
    try:
        assert Upstream("financing").headers() == NAME
    finally:
        current_calls.reset(token)


def test_threads_with_the_request_context_use_its_draw(outcomes, pricing):
    async def ask() -> list[dict[str, str]]:
        current_calls.set(Calls(outcomes))
        context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as pool:
            own = pool.submit(context.run, pricing.headers).result()
            return [pricing.headers(), await asyncio.to_thread(pricing.headers), own]

    first, *others = asyncio.run(ask())
    assert first["sluicegate-draw"] == PRICING
    assert others == [first, first]


def test_a_call_after_the_response_of_its_request_has_no_draw_header(outcomes, pricing):
    calls = Calls(outcomes)
    calls.close()
    token = current_calls.set(calls)
    try:
        assert pricing.headers() == NAME
        assert calls.versions() == ()
    finally:
        current_calls.reset(token)


def test_an_unsupported_http_client_is_refused_with_the_way_out(pricing):
    with pytest.raises(TypeError, match=r"headers\(\).*answered\(\)"):
        pricing.watch(object())


# ---- answers ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("marks", "counted"),
    [
        ([str(V2), str(V2)], (V2,)),
        ([None, str(V2)], (V2,)),
        ([str(V1), str(V2)], ()),
        ([None], ()),
        (["shop/financing v2 r2"], ()),
        (["shop/pricing v2"], ()),
        (["shop/pricing v2 " + "r" * 400], ()),
        (["shop/pricing v\u00e9 r2"], ()),
    ],
    ids=["one version", "a lost answer before it", "both versions", "no mark", "of another product",
         "half a mark", "a long mark", "other characters"],
)  # fmt: skip
def test_a_request_counts_for_the_upstream_version_that_answered_all_its_calls(
    outcomes, pricing, marks, counted
):
    calls = Calls(outcomes)
    token = current_calls.set(calls)
    try:
        for mark in marks:
            pricing.headers()
            if mark is not None:
                pricing.answered({"sluicegate-version": mark})
        assert calls.versions() == counted
    finally:
        current_calls.reset(token)


def test_a_cached_response_has_no_upstream_version(outcomes, pricing):
    calls = Calls(outcomes)
    token = current_calls.set(calls)
    try:
        pricing.headers()
        pricing.answered({"sluicegate-version": str(V2), "age": "3"})
        assert calls.versions() == ()
    finally:
        current_calls.reset(token)


def test_a_request_is_counted_by_the_upstream_versions_that_answered_it(outcomes):
    for answers in ((V1,), (V1, V2), ()):
        calls = Calls(outcomes)
        calls.headers(PRICING)
        for version in answers:
            calls.answered(version)
        calls.close()
    Calls(outcomes).close()  # a request without a call
    found = {name: value for name, value in series(outcomes).items() if "requests" in name}
    assert sorted(found.values()) == [1, 1, 1]
    assert {met.value for met in Met} == {name.split('"')[1] for name in map(_first, found)}


def _first(name: str) -> str:
    return name[name.index("result=") :]


# ---- what is counted -------------------------------------------------------------------------
def test_outcomes_and_events_are_counted_by_upstream_version(outcomes, clock):
    outcomes.count_outcome(V2, Outcome.WRONG, age=10, issued_at=clock.now)
    outcomes.count_event(V1, "sold", Event.GOOD)
    found = series(outcomes)
    labels = 'upstream="shop/pricing",upstream_revision="r2",upstream_version="v2"'
    assert found[f'sluicegate_upstream_outcomes_total{{age="30",outcome="wrong",{labels}}}'] == 1
    assert nonzero(outcomes) == [1, 1]
    assert sum("events" in name for name in found) == 4
    assert sum("outcomes" in name for name in found) == 4


def test_a_canary_has_four_series_for_each_slo_and_four_for_each_later_class_of_age_with_labels(
    outcomes, clock
):
    for version, outcome in product((V1, V2), Outcome):
        outcomes.count_outcome(version, outcome, age=10, issued_at=clock.now)
        outcomes.count_request(PRICING, Met.ONE)
    slos = ["accuracy", "sold"]
    found = series(outcomes)
    assert len([name for name in found if "requests" not in name]) == 4 * len(slos)
    assert sum("requests" in name for name in found) == len(Met)
    outcomes.count_outcome(V2, Outcome.WRONG, age=7000, issued_at=clock.now)
    first, second = series(outcomes), series(outcomes)
    aged = [name for name in first if name not in found]
    assert len(aged) == 4
    assert [first[name] for name in aged] == [0, 0, 0, 0], (
        "the first scrape has all labels of later ones"
    )
    assert sorted(second[name] for name in aged) == [0, 0, 0, 1]


def test_upstream_series_exist_only_during_a_canary(outcomes, clock):
    outcomes.count_outcome(V2, Outcome.WRONG, age=10, issued_at=clock.now)
    clock.now += LASTING_SECONDS + 1
    outcomes.meet(V2)
    assert series(outcomes) == {}
    outcomes.count_outcome(V2, Outcome.WRONG, age=10, issued_at=clock.now)
    assert series(outcomes) == {}
    outcomes.meet(V1)
    assert nonzero(outcomes) == [], "the next canary begins at 0"


def test_a_late_label_counts_while_the_canary_still_runs(outcomes, clock):
    outcomes.count_outcome(V2, Outcome.WRONG, age=90_000, issued_at=clock.now - 90_000)
    assert nonzero(outcomes) == [], "the series begin at 0"
    assert nonzero(outcomes) == [1]


def test_a_third_upstream_version_replaces_one_that_no_longer_answers(outcomes, clock):
    outcomes.count_event(V2, "sold", Event.BAD)
    outcomes.meet(V3)
    assert "v3" not in str(series(outcomes)), "both others are served"
    clock.now += REPLACED_SECONDS + 1
    outcomes.meet(V1)
    outcomes.meet(V3)
    found = str(series(outcomes))
    assert "v3" in found
    assert "v2" not in found
    assert nonzero(outcomes) == []


def test_an_undeclared_upstream_is_never_counted(outcomes, clock):
    other = UpstreamVersion("shop/other", "v1", "r1")
    outcomes.meet(other)
    outcomes.meet(other._replace(version="v2"))
    outcomes.count_outcome(other, Outcome.WRONG, age=1, issued_at=clock.now)
    assert "other" not in str(series(outcomes))


# ---- tokens ----------------------------------------------------------------------------------
def signer() -> TokenSigner:
    return TokenSigner("shop", "ranking", [b"k" * 32], 1000)


def test_a_token_has_the_versions_of_upstreams():
    token = signer().issue(3, version="v7", now=100.0, upstreams=(V2,))
    assert signer().read(token, now=100.0).upstreams == (V2,)
    assert signer().read(signer().issue(3, version="v7", now=100.0), now=100.0).upstreams == ()


@pytest.mark.parametrize("given", [3, "v", [3], [["a", "b"]], [["a", "b", 3]], {"a": "b"}])
def test_malformed_upstream_versions_in_a_token_are_ignored(given):
    body = {"p": 3, "v": "v7", "t": 100, "n": "x", "u": given}
    prediction = signer().read(signer()._signed(body), now=100.0)
    assert (prediction.value, prediction.upstreams) == (3, ())


def test_upstream_versions_beyond_the_token_limit_are_omitted():
    large = "x" * 2950
    token = signer().issue(
        large, version="v7", now=100.0, upstreams=(V2._replace(version="v" * 99),)
    )
    assert signer().read(token, now=100.0).upstreams == ()


# ---- applications ----------------------------------------------------------------------------
async def ask(application: Any, *, path: str = "/price", headers: Any = ()) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await application({"type": "http", "path": path, "headers": list(headers)}, receive, send)
    return sent


async def plain(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"3"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"bc"})


async def test_a_response_has_a_version_header_for_a_declared_consumer_only():
    marking = VersionMarks(plain, V2, frozenset({"shop/ranking"}))
    for consumer, marked in ((b"shop/ranking", True), (b"shop/other", False)):
        start, *_ = await ask(marking, headers=[(b"sluicegate-consumer", consumer)])
        assert ((b"sluicegate-version", b"shop/pricing v2 r2") in start["headers"]) is marked


async def test_upstream_calls_of_feedback_and_mirrored_requests_are_not_counted(outcomes):
    calls: list[Any] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        calls.append(current_calls.get())

    application = CountedCalls(noting, frozenset({"/price"}), outcomes)
    for path in ("/price", "/feedback", "/-/mirrored/price"):
        await ask(application, path=path)
    assert [each is not None for each in calls] == [True, False, False]
    assert current_calls.get() is None


async def test_the_metrics_page_has_the_upstream_series(outcomes):
    start, body = await ask(UpstreamMetrics(plain, "/metrics", outcomes), path="/metrics")
    assert body["body"].startswith(b"abc# HELP sluicegate_upstream_outcomes_total")
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]
    assert len(await ask(UpstreamMetrics(plain, "/metrics", outcomes), path="/readyz")) == 3


@pytest.mark.parametrize("text", ["{", "{}", '["a"]', "[1]", "3"])
def test_a_malformed_upstreams_variable_is_refused_by_its_name(text):
    with pytest.raises(ValueError, match="SLUICEGATE_UPSTREAMS"):
        products_in({"SLUICEGATE_UPSTREAMS": text}, "SLUICEGATE_UPSTREAMS")
