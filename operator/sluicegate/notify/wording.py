"""What a person reads of a message, as plain text in which nothing is markup. Pure.

The words of a product (descriptions, log tails, names of versions) are data. Control characters,
terminal escapes and characters that turn the direction of a text are removed; what chat programs read
as a mention or as a link is broken by a character that nobody sees, or replaced by its twin.
"""

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE, REQUEST_RETRAIN
from sluicegate.notify.catalogue import Kind, Urgency
from sluicegate.notify.messages import Message
from sluicegate.notify.transitions import Transition

MOST_LISTED: Final = 30
"""Products that a message about several lists."""
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
"""ANSI sequences whole, so that nothing of them is left as text."""
_MENTION: Final = re.compile(r"@(?=\w)")
_LINK: Final = re.compile(r"\](?=\()")
_UNSEEN: Final = "\u2060"
"""Word joiner: has no width, and breaks what a parser looks for."""
_TWINS: Final = str.maketrans({"<": "‹", ">": "›", "`": "ˋ"})


@dataclass(frozen=True, slots=True)
class Wording:
    """A message as a title of one line, and a body."""

    title: str
    body: str
    urgency: Urgency


def plain(text: str, *, lines: bool = False) -> str:
    """A text in which nothing is markup, a mention or a control character.

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
    """Whether it has a place of its own: controls, direction marks and surrogates don't."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def wording(message: Message, *, cluster: str = "", portfolio: str = "") -> Wording:
    """The words of a message; `portfolio` is the address of the pages that it links."""
    match message.transitions:
        case ():
            return _digest(message)
        case (one,):
            return _single(one, cluster, portfolio)
        case several:
            return _together(several, portfolio)


def heading(one: Transition) -> str:
    """The sentence of a transition."""
    title = one.kind.entry.title.format(
        product=one.origin.path, version=plain(one.version) or "a version"
    )
    return plain(title)


def _single(one: Transition, cluster: str, portfolio: str) -> Wording:
    urgency = one.urgency
    return Wording(
        f"{SIGNS[urgency]} {heading(one)}",
        "\n".join(_lines(one, cluster, portfolio)),
        urgency,
    )


def _lines(one: Transition, cluster: str, portfolio: str) -> Iterator[str]:
    if one.message:
        yield plain(one.message, lines=True)
    facts = [
        ("Reason", one.reason),
        ("Version", one.version),
        ("Owner", one.origin.owner),
        ("Markets", ", ".join(one.origin.markets)),
        ("Cluster", cluster),
    ]
    yield " · ".join(f"{name}: {plain(value)}" for name, value in facts if value)
    yield f"At {rfc3339(one.time)}"
    if one.folded:
        yield f"The state changed {one.folded + 1} times in a short time; this is the last one."
    if command := _command(one):
        yield f"Next: {command}"
    if portfolio:
        yield f"{portfolio.rstrip('/')}/products/{one.origin.path}"


def _command(one: Transition) -> str:
    """What a person may copy; empty where no command is the answer."""
    namespace, name = shlex.quote(one.origin.namespace), shlex.quote(one.origin.name)
    start = f"kubectl -n {namespace} annotate --overwrite dataproduct {name}"
    match one.kind:
        case Kind.APPROVAL_REQUESTED | Kind.ROLLOUT_INCONCLUSIVE:
            return f"{start} {REQUEST_PROMOTE}={shlex.quote(plain(one.version))}/TOKEN"
        case Kind.RETRAINING_SUSPENDED:
            return f"{start} {REQUEST_RETRAIN}=TOKEN"
        case Kind.REVIEW_DUE | Kind.REVIEW_OVERDUE:
            review = shlex.quote(f"{one.origin.namespace}/{plain(one.message).partition(' ')[0]}")
            return f"sluicegate review sign {review}"
        case Kind.ROLLOUT_HELD:
            return f"{start} {REQUEST_ABORT}={shlex.quote(plain(one.version))}/TOKEN"
        case Kind.STALLED | Kind.UNREADY | Kind.DEGRADED | Kind.REQUEST_WAITS:
            return f"sluicegate explain {namespace}/{name}"
        case _:
            return ""


def _together(several: Sequence[Transition], portfolio: str) -> Wording:
    entry, urgency = several[0].kind.entry, several[0].urgency
    reasons = Counter(one.reason for one in several if one.reason)
    lines = []
    if len(reasons) == 1:
        lines.append(f"Common reason: {plain(next(iter(reasons)))}")
    elif reasons:
        counted = (f"{plain(reason)} {count}" for reason, count in reasons.most_common())
        lines.append(f"Reasons: {', '.join(counted)}")
    for one in several[:MOST_LISTED]:
        version = f" {plain(one.version)}" if one.version else ""
        lines.append(f"- {one.origin.path}{version} {plain(one.message)}".rstrip())
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
        shown = ", ".join(plain(path) for path in paths[:MOST_LISTED])
        more = f" and {len(paths) - MOST_LISTED} more" if len(paths) > MOST_LISTED else ""
        lines.append(f"{plain(name)} ({len(paths)}): {shown}{more}")
    day = plain(str(content.get("day", "")))
    body = "\n".join(lines) or "No product needs a person, and none is degraded."
    urgent = content.get("needsPerson", 0)
    title = f"{content.get('total', 0)} data products on {day}: {urgent} need a person"
    return Wording(title, body, Urgency.INFORMATION)
