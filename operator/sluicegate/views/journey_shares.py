"""What share of its requests a product answers, and answers in time, for its journeys. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.slos import IndicatorKind

_SERVING_KINDS: Final = frozenset({IndicatorKind.AVAILABILITY, IndicatorKind.LATENCY})


@dataclass(frozen=True, slots=True)
class ServedShare:
    """The share of requests that is answered, or answered within `milliseconds`; `total` is their number."""

    slo: str
    ratio: float
    total: int
    milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class JourneyShares:
    """A product in journeys: its step in each, and its shares; None without measurements."""

    steps: Mapping[str, int]
    answered: ServedShare | None
    in_time: ServedShare | None


def shares_of(product: DataProduct) -> JourneyShares | None:
    """Return a product's shares in its journeys; None without journeys.

    Of several SLOs of a kind, the one with the smallest share counts.
    """
    if not product.spec.journeys:
        return None
    shares: dict[IndicatorKind, ServedShare] = {}
    status = {slo.name: slo for slo in product.status.slos}
    for spec in product.spec.slos:
        slo_status, kind = status.get(spec.name), spec.indicator.kind
        if slo_status is None or slo_status.ratio is None or kind not in _SERVING_KINDS:
            continue
        latency_bound = spec.indicator.latency
        served_share = ServedShare(
            spec.name, float(slo_status.ratio), slo_status.total or 0,
            latency_bound.threshold_milliseconds if latency_bound else None,
        )  # fmt: skip
        if kind not in shares or served_share.ratio < shares[kind].ratio:
            shares[kind] = served_share
    return JourneyShares(
        steps={journey.name: journey.step for journey in product.spec.journeys},
        answered=shares.get(IndicatorKind.AVAILABILITY),
        in_time=shares.get(IndicatorKind.LATENCY),
    )
