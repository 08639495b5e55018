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


def silence_text(time: str, *, meaning: str) -> str:
    """Return from when on silence counts, and as what; empty where it never does.

    Parameters
    ----------
    time : RFC 3339; empty where silence never counts.
    meaning : Agreement or Refusal; empty where it isn't known.
    """
    if not time or not meaning:  # an older operator wrote no meaning
        return f"silence counts from {time} on" if time else ""
    effect = "promotes it" if meaning == "Agreement" else "rolls it back"
    return f"from {time} on silence counts as {meaning.lower()} and {effect}"


def held_silence_text(time: str, *, meaning: str, parties: str) -> str:
    """Return since when silence counts, as what, and that spec.suspend holds its effect.

    Parameters
    ----------
    time : RFC 3339. meaning : Agreement or Refusal. parties : whose answer is missing, in words.
    """
    held_effect = "promotion" if meaning == "Agreement" else "rollback"
    return (
        f"silence counts as {meaning.lower()} of {parties} since {time}, and spec.suspend holds the"
        f" {held_effect}: unset spec.suspend, or each of them answers"
    )


def absent_consumer_text(consumer: str) -> str:
    """Return that a consumer, `namespace/name`, doesn't exist, and the correction."""
    return f"there is no DataProduct {consumer}: correct spec.rollout.approvals.consumers"
