"""A portfolio of 47 products in six countries, made from the two sample products.

A marketplace for used cars has one model for each question. Each product here is a small variant of
one of the two sample products: another name, team, dependency, priority and traffic, the same kind of
model. All of it is written down below; nothing is drawn, so the same portfolio comes out each time.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from demo.samples import PRICING, RANKING, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.samples import Object

MARKETS: Final = ("FR", "BE", "ES", "GB", "AT", "IT")
PREFIX: Final = "market"
"""Namespaces are `market-<team>`, beside those of the demonstration."""
BLOCK_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Team:
    """A team: its products, as `name < what they call`, and its people."""

    name: str
    sample: Sample
    manager: str
    scientist: str
    products: tuple[str, ...]


TEAMS: Final = (
    Team("pricing", PRICING, "mvr", "jlb", (
        "price", "price-forecast < price", "price-drop < price-forecast",
        "residual-value < price", "trade-in < price damage-cost", "auction-reserve < price",
        "damage-cost", "vat-margin < price",
    )),
    Team("catalog", RANKING, "acb", "nde", (
        "search-ranking < price listing-quality", "similar-cars < price", "listing-quality",
        "photo-order", "photo-damage", "equipment", "duplicate-listings < photo-order",
        "listing-title < equipment", "model-match",
    )),
    Team("growth", RANKING, "hst", "pmo", (
        "recommendations < similar-cars price", "homepage-order < recommendations",
        "email-cars < recommendations price-drop", "saved-search < search-ranking",
        "churn-risk", "campaign-bids < lead-score", "lead-score", "visit-intent",
    )),
    Team("logistics", PRICING, "bck", "rdw", (
        "delivery-time < route-plan", "transport-cost < route-plan", "route-plan", "depot-load",
        "inspection-slot < depot-load", "handover-no-show", "parts-demand",
    )),
    Team("finance", PRICING, "lgf", "ytn", (
        "credit-score", "instalment < credit-score residual-value", "insurance-quote < price",
        "payment-default < credit-score", "refund-risk", "warranty-price < residual-value damage-cost",
        "deposit < instalment",
    )),
    Team("trust", RANKING, "oik", "vsa", (
        "seller-score < fake-listing", "fake-listing < duplicate-listings price", "message-abuse",
        "identity-match", "review-check < seller-score",
    )),
    Team("service", RANKING, "dqe", "wxu", (
        "ticket-routing", "reply-suggestion < ticket-routing", "call-forecast",
    )),
)  # fmt: skip
JOURNEYS: Final = {
    "buy-a-car": (
        "homepage-order", "search-ranking", "price", "instalment", "insurance-quote", "delivery-time",
    ),
    "sell-a-car": ("photo-damage", "damage-cost", "trade-in", "inspection-slot"),
    "get-help": ("ticket-routing", "reply-suggestion", "warranty-price"),
}  # fmt: skip
"""What a customer meets, in this order."""
CRITICAL: Final = frozenset({"price", "search-ranking", "credit-score", "delivery-time"})
MANAGER_OF_ALL: Final = "kpl"


@dataclass(frozen=True, slots=True)
class Member:
    """A product of the portfolio.

    Attributes
    ----------
    calls : names of products that it depends on. rate : requests a second in all its markets.
    """

    name: str
    team: Team
    calls: tuple[str, ...]
    markets: tuple[str, ...]
    rate: float

    @property
    def namespace(self) -> str:
        """Where its team keeps it."""
        return f"{PREFIX}-{self.team.name}"

    @property
    def service(self) -> str:
        """Name of the bento's entry service, which BentoML's metrics name too."""
        return _service(self.team.sample)


@cache
def _service(sample: Sample) -> str:
    return str(sample.file()["spec"]["model"]["bento"]["service"])


def members() -> list[Member]:
    """Return the 47 products, a product after those that it calls."""
    by_name = {one.name: one for one in _members()}
    ordered: dict[str, Member] = {}

    def add(name: str) -> None:
        for called in by_name[name].calls:
            add(called)
        ordered.setdefault(name, by_name[name])

    for name in by_name:
        add(name)
    return list(ordered.values())


def _members() -> Iterator[Member]:
    number = 0
    for team in TEAMS:
        for text in team.products:
            name, _, calls = text.partition(" < ")
            # A few that stand alone are in some of the countries only, as what is new is.
            alone = not calls and name not in CRITICAL and number % 3 == 0
            markets = tuple(sorted(MARKETS[number % 4 :][:4])) if alone else MARKETS
            rate = 30.0 if name in CRITICAL else 6.0 + 2.0 * (number % 7)
            yield Member(name, team, tuple(calls.split()), markets, rate)
            number += 1


def affected_by(name: str) -> set[str]:
    """Return names of the products that call one, directly or not."""
    affected: set[str] = set()
    open_ = [name]
    while open_:
        called = open_.pop()
        for member in _members():
            if called in member.calls and member.name not in affected:
                affected.add(member.name)
                open_.append(member.name)
    return affected


def documents() -> list[Object]:
    """Return the DataProducts; their images are names alone, each with a digest of its own."""
    named = {one.name: one for one in members()}
    return [_document(one, named) for one in named.values()]


def _digest(text: str) -> str:
    """Return a digest of an image that isn't built: each product has its own bento."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _document(member: Member, named: dict[str, Member]) -> Object:
    team = member.team
    document = copy.deepcopy(team.sample.file())
    spec = document["spec"]
    spec["rollout"].pop("shadow", None)  # its Jobs' pods have no containers
    document["metadata"] = {"name": member.name, "namespace": member.namespace}
    title = member.name.replace("-", " ")
    spec |= {
        "displayName": title.capitalize(),
        "domain": team.name,
        "owner": f"group:default/{team.name}",
        "priority": "Critical" if member.name in CRITICAL else ("High" if member.calls else "Medium"),
        "markets": list(member.markets),
        "team": {"members": [
            {"username": team.manager, "role": "DataProductManager"},
            {"username": team.scientist, "role": "DataScientist"},
            {"username": MANAGER_OF_ALL, "role": "EngineeringManager"},
        ]},
        "dependsOn": [
            {"name": called, "namespace": named[called].namespace} for called in member.calls
        ],
        "journeys": [
            {"name": name, "step": products.index(member.name) + 1}
            for name, products in JOURNEYS.items() if member.name in products
        ],
        "analysis": {"blockSeconds": BLOCK_SECONDS},
    }  # fmt: skip
    spec["description"] |= {
        "purpose": f"Answers the question of {title}, in {len(member.markets)} countries"
    }
    bento = spec["model"]["bento"]
    bento["image"] = f"registry.example/bentos/{member.name}@{_digest(member.name)}"
    spec["serving"]["runtimeImage"] = f"registry.example/sluicegate-runtime@{_digest('runtime')}"
    spec["route"] |= {"path": f"/{member.name}"}
    spec["serving"] |= {"replicas": 1, "feedback": {"secretRef": {"name": "feedback"}}}
    spec["serving"].pop("env", None)  # addresses of the two samples' own services
    spec["retraining"] |= {"output": f"registry.example/bentos/{member.name}"}
    # Availability, latency and accuracy; what the two samples count beyond them is theirs alone.
    spec["slos"] = [
        one for one in spec["slos"] if one["name"] in {"availability", "latency", "accuracy"}
    ]
    return document
