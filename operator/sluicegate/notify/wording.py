"""Texts of messages as plain text without markup. Pure.

Texts of a product (descriptions, log tails, names of versions) are data. Control characters,
terminal escapes and characters that change the direction of a text are removed; mentions and links
of chat programs are broken by an invisible character, or their characters are replaced by similar
ones.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.notify.catalogue import Kind, Urgency
from sluicegate.notify.messages import Message
from sluicegate.notify.transitions import Transition
from sluicegate.views.needs import plugin_command

MOST_LISTED: Final = 30
"""Most products that a message about several lists."""
SIGNS: Final = {
    Urgency.NEEDS_PERSON: "[needs you]",
    Urgency.BAD_NEWS: "[bad]",
    Urgency.GOOD_NEWS: "[good]",
    Urgency.INFORMATION: "[info]",
}
_ESCAPE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[@-Z\\-_])|\x9b[0-?]*[ -/]*[@-~]",
    re.DOTALL,
)
"""Whole ANSI sequences, so that no part of them is left as text."""
_MENTION: Final = re.compile(r"@(?=\w)")
_LINK: Final = re.compile(r"\](?=\()")
_UNSEEN: Final = "\u2060"
"""Word joiner: has no width, and breaks patterns of parsers."""
_TWINS: Final = str.maketrans({"<": "‹", ">": "›", "`": "ˋ"})


@dataclass(frozen=True, slots=True)
class Wording:
    """Text of a message: a title of one line, and a body."""

    title: str
    body: str
    urgency: Urgency


def plain(text: str, *, lines: bool = False) -> str:
    """Return a text without markup, mentions and control characters.

    Parameters
    ----------
    lines : whether it may have several lines.
    """
    text = _ESCAPE.sub("", text).replace("\r\n", "\n").replace("\t", " ")
    kept = (one if _is_seen(one) else ("\n" if one == "\n" else "") for one in text)
    text = "".join(kept).translate(_TWINS)
    text = _LINK.sub(f"]{_UNSEEN}", _MENTION.sub(f"@{_UNSEEN}", text))
    return text if lines else " ".join(text.split())


def _is_seen(character: str) -> bool:
    """Return whether a character is visible: controls, direction marks and surrogates aren't."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def wording(message: Message, *, cluster: str = "", portfolio: str = "") -> Wording:
    """Return the text of a message; `portfolio` is the address of the pages for links."""
    match message.transitions:
        case ():
            return _digest(message)
        case (transition,):
            return _single(transition, cluster, portfolio)
        case several:
            return _together(several, portfolio)


def heading(transition: Transition) -> str:
    """Return the sentence of a transition."""
    title = transition.kind.entry.title.format(
        product=_named(transition), version=plain(transition.version) or "a version"
    )
    return plain(title)


def _named(transition: Transition) -> str:
    """Return the product as people know it: by its display name, with its path."""
    title, path = plain(transition.origin.title), transition.origin.path
    return f"{title} ({path})" if title and title != transition.origin.name else path


def _single(transition: Transition, cluster: str, portfolio: str) -> Wording:
    urgency = transition.urgency
    return Wording(
        f"{SIGNS[urgency]} {heading(transition)}",
        "\n".join(_lines(transition, cluster, portfolio)),
        urgency,
    )


def _lines(transition: Transition, cluster: str, portfolio: str) -> Iterator[str]:
    if transition.message:
        yield plain(transition.message, lines=True)
    facts = [
        ("Reason", transition.reason),
        ("Version", transition.version),
        ("Owner", transition.origin.owner),
        ("Markets", ", ".join(transition.origin.markets)),
        ("Cluster", cluster),
    ]
    yield " · ".join(f"{name}: {plain(value)}" for name, value in facts if value)
    yield f"At {rfc3339(transition.time)}"
    if transition.folded:
        yield f"The state changed {transition.folded + 1} times in a short time; this is the last one."
    if command := _command(transition):
        yield f"Next: {command}"
    if portfolio:
        yield f"{portfolio.rstrip('/')}/products/{transition.origin.path}{'#act' if command else ''}"


def _command(transition: Transition) -> str:
    """Return a command for the person; empty if there is none."""
    key, version = (transition.origin.namespace, transition.origin.name), plain(transition.version)
    match transition.kind:
        case Kind.APPROVAL_REQUESTED | Kind.ROLLOUT_INCONCLUSIVE:
            return plugin_command(key, "promote", version)
        case Kind.RETRAINING_SUSPENDED:
            return plugin_command(key, "retrain")
        case Kind.REVIEW_DUE | Kind.REVIEW_OVERDUE:
            name = plain(transition.message).partition(" ")[0]
            return plugin_command((transition.origin.namespace, name), "review sign")
        case Kind.ROLLOUT_HELD:
            return plugin_command(key, "abort", version)
        case (
            Kind.SECRET_UNUSABLE
            | Kind.STALLED
            | Kind.UNREADY
            | Kind.DEGRADED
            | Kind.REQUEST_WAITS
            | Kind.MARKET_MISSED
        ):
            return plugin_command(key, "explain")
        case _:
            return ""


def _together(several: Sequence[Transition], portfolio: str) -> Wording:
    entry, urgency = several[0].kind.entry, several[0].urgency
    reasons = Counter(transition.reason for transition in several if transition.reason)
    lines = []
    if len(reasons) == 1:
        lines.append(f"Common reason: {plain(next(iter(reasons)))}")
    elif reasons:
        counted = (f"{plain(reason)} {count}" for reason, count in reasons.most_common())
        lines.append(f"Reasons: {', '.join(counted)}")
    for each in several[:MOST_LISTED]:
        version = f" {plain(each.version)}" if each.version else ""
        lines.append(f"- {each.origin.path}{version} {plain(each.message)}".rstrip())
    if len(several) > MOST_LISTED:
        lines.append(f"… and {len(several) - MOST_LISTED} more")
    if portfolio:
        lines.append(portfolio)
    title = entry.many.format(count=len(several))
    return Wording(f"{SIGNS[urgency]} {title}", "\n".join(lines), urgency)


def _digest(message: Message) -> Wording:
    content = message.digest
    if not content:
        return Wording("Test message of sluicegate", "The sink works.", Urgency.INFORMATION)
    lines = []
    for name, paths in content.get("products", {}).items():
        listed = ", ".join(plain(path) for path in paths[:MOST_LISTED])
        more = f" and {len(paths) - MOST_LISTED} more" if len(paths) > MOST_LISTED else ""
        lines.append(f"{plain(name)} ({len(paths)}): {listed}{more}")
    day = plain(str(content.get("day", "")))
    body = "\n".join(lines) or "No product needs a person, and none is degraded."
    urgent = content.get("needsPerson", 0)
    title = f"{content.get('total', 0)} data products on {day}: {urgent} need a person"
    return Wording(title, body, Urgency.INFORMATION)
