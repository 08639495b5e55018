"""Clauses about parties that must agree to a candidate, for status, messages, page and plugin. Pure."""

from collections.abc import Sequence
from typing import Final

MAX_NAMED_PARTIES: Final = 8
"""Parties that a sentence names, each in up to 104 characters; it has the number of the others."""


def parties_text(parties: Sequence[str], more_parties: int = 0) -> str:
    """Return the first parties by name, and the number of the others.

    Parameters
    ----------
    more_parties : number of parties that `parties` has no room for.
    """
    more_parties += max(len(parties) - MAX_NAMED_PARTIES, 0)
    return ", ".join(parties[:MAX_NAMED_PARTIES]) + (
        f" and {more_parties} more" if more_parties else ""
    )


def silence_text(time: str, *, held_verdict: str, parties: str) -> str:
    """Return when silence starts to count; with a meaning, also that spec.suspend holds its effect.

    Parameters
    ----------
    time : RFC 3339; empty where silence never counts.
    held_verdict : Agreement or Refusal while spec.suspend holds what silence counts as; empty otherwise.
    parties : whose answer is missing, in words.
    """
    if not time or not held_verdict:
        return f"silence counts from {time} on" if time else ""
    held_effect = "promotion" if held_verdict == "Agreement" else "rollback"
    return (
        f"silence counts as {held_verdict.lower()} of {parties} since {time}, and spec.suspend holds the"
        f" {held_effect}: unset spec.suspend, or each of them answers"
    )


def absent_consumer_text(consumer: str) -> str:
    """Return that a consumer, `namespace/name`, doesn't exist, and the correction."""
    return f"there is no DataProduct {consumer}: correct spec.rollout.approvals.consumers"
