"""What share of its requests a product answers, and answers in time, for its journeys. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.slos import IndicatorKind

_SERVING: Final = frozenset({IndicatorKind.AVAILABILITY, IndicatorKind.LATENCY})


@dataclass(frozen=True, slots=True)
class ServedShare:
    """What share of requests is answered, or answered within `milliseconds`; `total` is their number."""

    slo: str
    ratio: float
    total: int
    milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class JourneyShares:
    """A product in journeys: its step in each, and what it adds to them; None where nothing is measured."""

    steps: Mapping[str, int]
    answered: ServedShare | None
    in_time: ServedShare | None


def shares_of(product: DataProduct) -> JourneyShares | None:
    """Return what a product adds to its journeys; None for one that is in none.

    Of several SLOs of a kind, the one with the smallest share counts.
    """
    if not product.spec.journeys:
        return None
    shares: dict[IndicatorKind, ServedShare] = {}
    status = {one.name: one for one in product.status.slos}
    for spec in product.spec.slos:
        measured, kind = status.get(spec.name), spec.indicator.kind
        if measured is None or measured.ratio is None or kind not in _SERVING:
            continue
        bound = spec.indicator.latency
        share = ServedShare(
            spec.name, float(measured.ratio), measured.total or 0,
            bound.threshold_milliseconds if bound else None,
        )  # fmt: skip
        if kind not in shares or share.ratio < shares[kind].ratio:
            shares[kind] = share
    return JourneyShares(
        steps={one.name: one.step for one in product.spec.journeys},
        answered=shares.get(IndicatorKind.AVAILABILITY),
        in_time=shares.get(IndicatorKind.LATENCY),
    )
