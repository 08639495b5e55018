"""`get --needs-me`: what products need of a person, the most pressing first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sluicegate.kube.resources import Key, key_of
from sluicegate.views import product as facts
from sluicegate.views.approval_actions import approvals_of, missing_parties
from sluicegate.views.needs import LABELS, UNNAMED_PARTIES, NeedKind
from sluicegate.views.numbers import age
from sluicegate.views.product_facts import read_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sluicegate.views.needs import Need

HEADER: Final = ("NAMESPACE", "NAME", "NEEDS", "SINCE", "COMMAND", "MESSAGE")
DISPENSABLE: Final = ("SINCE", "COMMAND")
COMMANDS: Final = {
    NeedKind.STALLED: "status",
    NeedKind.NOT_READY: "status",
    NeedKind.REQUEST: "status",
    NeedKind.DEPENDENT: "status",
    NeedKind.ROLLBACK_FAILED: "explain",
    NeedKind.APPROVAL: "promote",
    NeedKind.HELD: "abort",
    NeedKind.INCONCLUSIVE: "promote",
    NeedKind.RETRAINING_SUSPENDED: "retrain",
    NeedKind.TRAINING_BLOCKED: "explain",
    NeedKind.DEGRADED: "explain",
    NeedKind.MARKET: "explain",
    NeedKind.SECRET: "explain",
    NeedKind.DEPENDENCY: "explain",
}
"""Commands of the plugin that answer a need, or show its conditions where an edit of the spec does."""


def in_team(product: facts.Body, user: str) -> bool:
    """Return whether spec.team lists a user."""
    return any(
        member.get("username") == user
        for member in facts.entries(product, "spec", "team", "members")
    )


def roles_in(product: facts.Body, user: str) -> set[str]:
    """Return the roles of a user in spec.team."""
    return {
        str(member.get("role"))
        for member in facts.entries(product, "spec", "team", "members")
        if member.get("username") == user
    }


def of_user(products: Sequence[facts.Body], user: str) -> list[facts.Body]:
    """Return the products whose team lists a user, and those that await an answer of such a product."""
    own_products = [product for product in products if in_team(product, user)]
    parties = {"/".join(key_of(product)) for product in own_products}
    upstreams = {upstream for product in own_products for upstream in _upstreams(product)}
    return [
        product
        for product in products
        if in_team(product, user)
        or not parties.isdisjoint(missing_parties(product))
        or (approvals_of(product).get("moreWaiting") and tuple(key_of(product)) in upstreams)
    ]


def upstreams_elsewhere(products: Sequence[facts.Body], user: str) -> list[Key]:
    """Return the upstreams of a user's products that aren't among the products, by namespace and name."""
    listed = {key_of(product) for product in products}
    return sorted(
        {
            Key(*upstream)
            for product in products
            if in_team(product, user)
            for upstream in _upstreams(product)
        }
        - listed
    )


def _upstreams(product: facts.Body) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of the products that a product depends on."""
    for dependency in facts.entries(product, "spec", "dependsOn"):
        yield (
            str(dependency.get("namespace") or key_of(product).namespace),
            str(dependency.get("name")),
        )


def needing(products: Sequence[facts.Body]) -> list[facts.Body]:
    """Return the products that need a person, the most pressing first."""
    ranked = [
        (product_facts.needs[0].kind.rank, product_facts.key, product)
        for product in products
        if (product_facts := read_facts(product)).needs
    ]
    return [product for *_, product in sorted(ranked, key=lambda one: one[:2])]


def rows(products: Sequence[facts.Body], now: datetime, user: str = "") -> list[list[str]]:
    """Return a row for each need, in the order of the header.

    With a user, products of other teams have only what waits for an answer of this user's products.
    """
    parties = {"/".join(key_of(product)) for product in products if in_team(product, user)} | {
        UNNAMED_PARTIES
    }
    needs = [
        (need, product_facts)
        for product in products
        for product_facts in (read_facts(product),)
        for need in product_facts.needs
        if not user or _concerns(need, product, user, parties)
    ]
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


def _concerns(need: Need, product: facts.Body, user: str, parties: set[str]) -> bool:
    """Return whether a need of a product waits for a user: an answer to a candidate only for its party."""
    if need.party in parties:
        return True
    if not in_team(product, user) or "/" in need.party:
        return False
    return not need.party or need.party in roles_in(product, user)


def _command(need: Need, key: tuple[str, str]) -> Iterator[str]:
    if (need.kind in {NeedKind.DEGRADED, NeedKind.STALLED} and need.command) or (
        need.kind is NeedKind.APPROVAL and (not need.command or " approve " in need.command)
    ):
        yield need.command
    elif need.kind in COMMANDS:
        yield from ("kubectl sluicegate", COMMANDS[need.kind], "/".join(key))
    elif need.kind in {NeedKind.REVIEW_DUE, NeedKind.REVIEW_OVERDUE} and need.command:
        yield "kubectl sluicegate review sign"
        review_name = need.message.partition(" ")[0]
        if review_name.startswith(f"{key[0]}/"):
            yield review_name
    elif need.kind is NeedKind.ACTIONS_LATE:
        yield need.command
