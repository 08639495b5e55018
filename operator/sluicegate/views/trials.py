"""What was tried with a version, in words; the standard library alone.

Its author states it by the labels of its bento, or with a request; else its origin is what is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sluicegate.views.words import as_words

if TYPE_CHECKING:
    from collections.abc import Mapping


def origin_text(version: Mapping[str, Any]) -> str:
    """Return the origin of a version: pushed, or retrained because of a decay; empty if unknown."""
    if version.get("source") != "Retraining":
        return "pushed" if version.get("source") else ""
    cause, slo = str(version.get("cause", "")), str(version.get("causeSlo", ""))
    if not cause:
        return "retrained"
    return f"retrained: {as_words(cause)}{f' of {slo}' if slo else ''}"


def tried_text(version: Mapping[str, Any]) -> str:
    """Return a version's trial in words; its origin alone without a statement of its author."""
    return statement_text((version.get("iteration") or {}) | {"origin": origin_text(version)})


def statement_text(statement: Mapping[str, Any]) -> str:
    """Return the author's statement in an entry of the log, in words."""
    names = [
        f"by {statement['author']}" if statement.get("author") else "",
        f"ticket {statement['ticket']}" if statement.get("ticket") else "",
        f"revision {statement['gitRevision']}" if statement.get("gitRevision") else "",
        str(statement.get("origin", "")),
    ]
    names_text = ", ".join(name for name in names if name)
    hypothesis = str(statement.get("hypothesis", ""))
    return f"{hypothesis} ({names_text})" if hypothesis and names_text else hypothesis or names_text
