"""Clauses about parties that must agree to a candidate, for status, messages, page and plugin. Pure."""

from collections.abc import Sequence
from typing import Final

MOST_NAMED: Final = 8
"""Parties that a sentence names, each in up to 104 characters; it has the number of the others."""


def parties_text(parties: Sequence[str], more: int = 0) -> str:
    """Return the first parties by name, and the number of the others.

    Parameters
    ----------
    more : number of parties that `parties` has no room for.
    """
    more += max(len(parties) - MOST_NAMED, 0)
    return ", ".join(parties[:MOST_NAMED]) + (f" and {more} more" if more else "")


def silence_text(time: str, *, meaning: str, parties: str) -> str:
    """Return when silence starts to count; with a meaning, also that spec.suspend holds its effect.

    Parameters
    ----------
    time : RFC 3339; empty where silence never counts.
    meaning : Agreement or Refusal while spec.suspend holds what silence counts as; empty otherwise.
    parties : whose answer is missing, in words.
    """
    if not time or not meaning:
        return f"silence counts from {time} on" if time else ""
    held_effect = "promotion" if meaning == "Agreement" else "rollback"
    return (
        f"silence counts as {meaning.lower()} of {parties} since {time}, and spec.suspend holds the"
        f" {held_effect}: unset spec.suspend, or each of them answers"
    )


def absent_text(consumer: str) -> str:
    """Return that a consumer, `namespace/name`, doesn't exist, and the correction."""
    return f"there is no DataProduct {consumer}: correct spec.rollout.approvals.consumers"
