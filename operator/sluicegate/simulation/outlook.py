"""Expected duration of a canary for each SLO at the simulated traffic.

An SLO without enough traffic need not favour a candidate, so a candidate that is worse in it may be
promoted. The output shows this beside the shares.
"""

from dataclasses import dataclass
from math import inf, isfinite

from sluicegate.api.slos import CanaryEvidence
from sluicegate.simulation.scenario import Scenario, Stream
from sluicegate.stats.canary_duration import expected_seconds
from sluicegate.stats.sequential_test import MIN_RATIO


@dataclass(frozen=True, slots=True)
class Outlook:
    """Expected time and traffic until one SLO has enough evidence.

    Attributes
    ----------
    margin : δ. minutes : until an equal candidate has passed; infinite if it never passes.
    must_speak : whether it must favour a candidate at this traffic. Each canary decides by its own
        measurements, so near the limit some decide differently.
    """

    slo: str
    margin: float
    minutes: float
    must_speak: bool

    def to_json(self) -> dict[str, object]:
        """Return the JSON document of the command."""
        minutes = round(self.minutes, 1) if isfinite(self.minutes) else None
        return {"margin": self.margin, "mustSpeak": self.must_speak, "expectedMinutes": minutes}


def outlook_of(scenario: Scenario) -> list[Outlook]:
    """Return the expectation for each SLO."""
    return [_outlook_of(scenario, stream) for stream in scenario.streams]


def _outlook_of(scenario: Scenario, stream: Stream) -> Outlook:
    blocks = inf
    if stream.per_block > 0:
        seconds = expected_seconds(
            scenario.steps,
            events_per_second=stream.per_block / scenario.block_seconds,
            ratio=min(max(stream.stable_bad, MIN_RATIO), 1 - stream.margin - MIN_RATIO),
            margin=stream.margin,
            block_seconds=scenario.block_seconds,
            correlation=scenario.burst_correlation,
        )
        blocks = seconds / scenario.block_seconds + stream.lag
    match stream.evidence:
        case CanaryEvidence.REQUIRED:
            must_speak = True
        case CanaryEvidence.IF_AVAILABLE:
            must_speak = (scenario.waits and stream.labels) or blocks <= scenario.blocks
        case CanaryEvidence.POST_PROMOTION:
            must_speak = False
    return Outlook(stream.name, stream.margin, blocks * scenario.minutes_per_block, must_speak)
