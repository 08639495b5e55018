"""The words of states: what each is called, and how well it is; the standard library alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Tone(StrEnum):
    """How good a state is; each output has a colour and a symbol for it."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    NONE = "none"
    """Nothing is known, or nothing was to be done."""


@dataclass(frozen=True, slots=True)
class StateWord:
    """A state in words for people."""

    tone: Tone
    label: str = ""
    """What it is called where its name isn't a word."""


STATES: Final = {
    "Healthy": StateWord(Tone.GOOD),
    "Met": StateWord(Tone.GOOD),
    "Reviewed": StateWord(Tone.GOOD),
    "True": StateWord(Tone.GOOD),
    "Clear": StateWord(Tone.NONE, "Not the cause"),
    "Promoted": StateWord(Tone.GOOD),
    "Degrading": StateWord(Tone.WARN),
    "AtRisk": StateWord(Tone.WARN, "At risk"),
    "ToReview": StateWord(Tone.WARN, "To review"),
    "InProgress": StateWord(Tone.WARN, "In progress"),
    "Training": StateWord(Tone.WARN),
    "AwaitingApproval": StateWord(Tone.WARN, "Awaiting approval"),
    "Degraded": StateWord(Tone.BAD),
    "Missed": StateWord(Tone.BAD),
    "Overdue": StateWord(Tone.BAD),
    "Objects": StateWord(Tone.BAD),
    "RolledBack": StateWord(Tone.BAD, "Rolled back"),
    "RollingBack": StateWord(Tone.WARN, "Rolling back"),
    "Failed": StateWord(Tone.BAD),
    "Rejected": StateWord(Tone.BAD),
    "Stalled": StateWord(Tone.BAD),
    "NotFound": StateWord(Tone.BAD, "Not found"),
    "Unknown": StateWord(Tone.NONE),
    "NotStarted": StateWord(Tone.NONE, "Period goes on"),
    "Skipped": StateWord(Tone.NONE),
    "Replaced": StateWord(Tone.NONE),
}
"""States of products, SLOs, versions, reviews and conditions, by the name that status has for them."""


CAUSES: Final = frozenset(
    {
        "AvailabilityOnly", "CodeNotData", "CommonCause", "CPUThrottled", "InfrastructureUnknown",
        "InputChanged", "InputStale", "MarketAlone", "MemoryPressure", "ModelDecay", "ModelTooSlow",
        "NodeBusy", "PodsUnhealthy", "RecentRelease", "ServingSkew", "TrafficAnomaly",
        "UpstreamDegraded", "UpstreamDegrading", "UpstreamReleased",
        "UpstreamUndecided",
    }
)  # fmt: skip
"""Causes of a degradation; a decision with another reason is about something else."""


def has_ended(decision: str, reason: str, state: str, *, has_missed_market: bool) -> bool:
    """Return whether the degradation that a last decision is about has ended.

    Parameters
    ----------
    decision : its type. reason : in one word. state : of the product at the last refresh.
    has_missed_market : whether a market was missed then, which leaves the product Healthy.
    """
    is_about_degradation = decision in {"Alert", "Retrain"} and reason in CAUSES
    return is_about_degradation and state == "Healthy" and not has_missed_market


DEGRADATION_OVER_TEXT: Final = (
    "That is over: the product was healthy at the last refresh of its status."
)
"""What is said beside a last decision whose cause has ended."""


def no_verdict_text(
    required: float | None, interval: Sequence[float], budget_left: float | None
) -> str:
    """Return the finding on an SLO in a market that is neither met nor missed.

    Parameters
    ----------
    required : least share of good events. interval : 95 % interval of its share; empty without events.
    budget_left : share of the error budget; negative when overspent.
    """
    if required is not None and interval and interval[-1] < required:
        return "below what is required, not shown to last"
    if budget_left is not None and budget_left < 0:
        return "budget overspent, no miss shown now"
    return "no miss shown"


def tone_of(state: object) -> Tone:
    """Return how good a state is; NONE for a word that is no state."""
    entry = STATES.get(str(state))
    return entry.tone if entry is not None else Tone.NONE


def label(state: object) -> str:
    """Return the label of a state; the word itself if it is no state."""
    word = str(state)
    entry = STATES.get(word)
    return entry.label or word if entry is not None else word


def as_words(word: str) -> str:
    """Return a word of the API as separate words: `CanaryNotWorse` becomes `canary not worse`."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+", word)).lower()
