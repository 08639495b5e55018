"""Events of versions by the whole days on which each alone was stable."""

from __future__ import annotations

from sluicegate.api.base import rfc3339
from sluicegate.reporting.brought import first_period_lift
from sluicegate.reporting.facts import facts_of
from sluicegate.reporting.text import markdown
from sluicegate.reporting.words import absent_first_period
from sluicegate.reviews.seal import differs_from_seal, sealed_review
from sluicegate.reviews.store import parse_review
from tests.support.decisions.reviewed import document_of, month

DAY = 86_400


def sealed(*versions):
    """November, sealed, with versions by name, first and last moment in days."""
    document = month(11, wrong=0.1)
    start = parse_review(document).spec.period.start
    document["status"]["versions"] = [
        {"version": name, "promotionTime": rfc3339(int(start + begin * DAY))}
        | ({"endTime": rfc3339(int(start + end * DAY))} if end is not None else {})
        for name, begin, end in versions
    ]
    review = parse_review(document)
    now = review.spec.period.end + 3 * DAY
    return review.replace(status=sealed_review(review, now, seal_reason="PeriodOver"))


def summed_days(review, slo, first, last, market=None):
    days = [day for day in review.status.days if first <= day.date[-2:] <= last]
    levels = [one for day in days for one in day.slos if one.name == slo]
    pairs = [
        (level.bad, level.total) if market is None else level.markets[market] for level in levels
    ]
    return sum(bad for bad, _ in pairs), sum(total for _, total in pairs)


def test_a_version_keeps_its_events_until_the_end_of_the_period_in_which_it_became_stable():
    review = sealed(("v13", -3, 10.4), ("v14", 10.4, 20), ("v15", 20, None))
    first, second, third = review.status.versions
    assert first.first_period is None, "it became stable before"
    assert (second.first_period.start_date, second.first_period.end_date) == (
        "2026-11-12", "2026-11-20",
    )  # fmt: skip
    assert third.first_period.end_date == "2026-11-30"
    counts = {slo.name: slo for slo in second.first_period.slos}
    assert counts.keys() == {"availability", "latency", "accuracy"}
    accuracy = counts["accuracy"]
    assert accuracy.counts == summed_days(review, "accuracy", "12", "20")
    assert accuracy.before == summed_days(review, "accuracy", "01", "10")
    assert accuracy.markets["AT"] == (
        *summed_days(review, "accuracy", "12", "20", "AT"),
        *summed_days(review, "accuracy", "01", "10", "AT"),
    )
    lift = first_period_lift(accuracy)
    assert lift.gain == (
        accuracy.before.bad / accuracy.before.total - accuracy.counts.bad / accuracy.counts.total
    )
    assert not differs_from_seal(parse_review(document_of(review)))


def test_a_restored_version_has_no_second_first_period():
    review = sealed(("v13", -3, 5), ("v14", 5, 20), ("v13", 20, None))
    assert [version.first_period is not None for version in review.status.versions] == [
        False,
        True,
        False,
    ]


def test_a_version_without_a_whole_day_alone_has_no_first_period():
    review = sealed(("v14", 29.5, None))
    assert review.status.versions[0].first_period is None
    [alone] = sealed(("v14", 1, None)).status.versions
    assert alone.first_period.slos[0].before == (0, 0)
    assert first_period_lift(alone.first_period.slos[0]) is None


def test_a_version_without_a_first_period_names_the_reason_in_the_report():
    review = sealed(("v13", -3, 10.4), ("v14", 10.4, 29.5), ("v15", 29.5, None))
    sealed_report = facts_of(review, None)
    assert [absent_first_period(sealed_report, version) for version in review.status.versions] == [
        "it became stable before this period",
        "",
        "none: it had been stable earlier and was restored, or was stable on no whole day alone",
    ]
    open_report = facts_of(review.replace(status=review.status.replace(seal_time=None)), None)
    absence = "not known yet: the period ends on 2026-11-30"
    _, replaced, newest = review.status.versions
    for version in (replaced.replace(first_period=None), newest):
        assert absent_first_period(open_report, version) == absence
    assert f"v15 until the end of its first period: {absence}." in markdown([open_report])
