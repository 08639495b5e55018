"""`get --needs-me`: what products need of a person, the most pressing first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sluicegate.kube.requests import create
from sluicegate.kube.resources import SUBJECT_REVIEWS
from sluicegate.views import product as facts
from sluicegate.views.needs import LABELS, NeedKind
from sluicegate.views.numbers import age
from sluicegate.views.product_facts import read_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sluicegate.kube.direct_client import DirectClient
    from sluicegate.views.needs import Need

HEADER: Final = ("NAMESPACE", "NAME", "NEEDS", "SINCE", "COMMAND", "MESSAGE")
DISPENSABLE: Final = ("SINCE", "COMMAND")
COMMANDS: Final = {
    NeedKind.ROLLBACK_FAILED: "explain",
    NeedKind.APPROVAL: "promote",
    NeedKind.HELD: "abort",
    NeedKind.INCONCLUSIVE: "promote",
    NeedKind.RETRAINING_SUSPENDED: "retrain",
    NeedKind.TRAINING_BLOCKED: "explain",
    NeedKind.DEGRADED: "explain",
    NeedKind.MARKET: "explain",
    NeedKind.SECRET: "explain",
}
"""Commands of the plugin that answer a need; the others need an edit or a signature."""


def username(client: DirectClient) -> str:
    """The name that the API server has for who asks."""
    answer = client.send(create(SUBJECT_REVIEWS, {"metadata": {}}, manager=""))
    return str(facts.part(answer, "status", "userInfo").get("username", ""))


def in_team(product: facts.Body, user: str) -> bool:
    """Whether spec.team lists a user."""
    return any(
        one.get("username") == user for one in facts.entries(product, "spec", "team", "members")
    )


def needing(found: Sequence[facts.Body]) -> list[facts.Body]:
    """Those of the products that need a person, the most pressing first."""
    ranked = [
        (known.needs[0].kind.rank, known.key, product)
        for product in found
        if (known := read_facts(product)).needs
    ]
    return [product for *_, product in sorted(ranked, key=lambda one: one[:2])]


def rows(found: Sequence[facts.Body], now: datetime) -> list[list[str]]:
    """A row for each need, in the order of the header."""
    needs = [(need, one) for one in map(read_facts, found) for need in one.needs]
    needs.sort(key=lambda pair: (pair[0].kind.rank, pair[0].since or 0, pair[1].key))
    return [
        [
            *one.key,
            LABELS[need.kind],
            age(max(0, int(now.timestamp()) - need.since)) if need.since else "",
            " ".join(_command(need, one.key)),
            need.message,
        ]
        for need, one in needs
    ]


def _command(need: Need, key: tuple[str, str]) -> Iterator[str]:
    if need.kind is NeedKind.DEGRADED and need.command:  # spec.retraining.mode is Manual
        yield from ("kubectl sluicegate retrain", "/".join(key))
    elif need.kind in COMMANDS:
        yield from ("kubectl sluicegate", COMMANDS[need.kind], "/".join(key))
    elif need.kind in {NeedKind.REVIEW_DUE, NeedKind.REVIEW_OVERDUE}:
        yield "kubectl sluicegate review sign"
