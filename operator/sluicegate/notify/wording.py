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
from sluicegate.notify.message_batches import Message
from sluicegate.notify.transitions import Transition
from sluicegate.views.needs import plugin_command

MAX_LISTED: Final = 30
"""Most products that a message about several lists."""
SIGN_BY_URGENCY: Final = {
    Urgency.NEEDS_PERSON: "[needs you]",
    Urgency.BAD_NEWS: "[bad]",
    Urgency.GOOD_NEWS: "[good]",
    Urgency.INFORMATION: "[info]",
}
_ESCAPE_PATTERN: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[@-Z\\-_])|\x9b[0-?]*[ -/]*[@-~]",
    re.DOTALL,
)
"""Whole ANSI sequences, so that no part of them is left as text."""
_MENTION_PATTERN: Final = re.compile(r"@(?=\w)")
_LINK: Final = re.compile(r"\](?=\()")
_WORD_JOINER: Final = "\u2060"
"""Word joiner: has no width, and breaks patterns of parsers."""
_SIMILAR_CHARACTERS: Final = str.maketrans({"<": "‹", ">": "›", "`": "ˋ"})


@dataclass(frozen=True, slots=True)
class Wording:
    """Text of a message: a title of one line, and a body."""

    title: str
    body: str
    urgency: Urgency


def plain_text(text: str, *, lines: bool = False) -> str:
    """Return a text without markup, mentions and control characters.

    Parameters
    ----------
    lines : whether it may have several lines.
    """
    text = _ESCAPE_PATTERN.sub("", text).replace("\r\n", "\n").replace("\t", " ")
    visible_characters = (
        character if _is_seen(character) else ("\n" if character == "\n" else "")
        for character in text
    )
    text = "".join(visible_characters).translate(_SIMILAR_CHARACTERS)
    text = _LINK.sub(f"]{_WORD_JOINER}", _MENTION_PATTERN.sub(f"@{_WORD_JOINER}", text))
    return text if lines else " ".join(text.split())


def _is_seen(character: str) -> bool:
    """Return whether a character is visible: controls, direction marks and surrogates aren't."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def wording_of(message: Message, *, cluster: str = "", portfolio: str = "") -> Wording:
    """Return the text of a message; `portfolio` is the address of the pages for links."""
    match message.transitions:
        case ():
            return _digest_wording(message, portfolio)
        case (transition,):
            return _single_wording(transition, cluster, portfolio)
        case transitions:
            return _group_wording(transitions, portfolio)


def heading_of(transition: Transition) -> str:
    """Return the sentence of a transition."""
    title = transition.kind.entry.title.format(
        product=_product_text(transition),
        version=plain_text(transition.version) or "a version",
        upstream=plain_text(transition.upstream),
    )
    return plain_text(title)


def _product_text(transition: Transition) -> str:
    """Return a product's display name and path."""
    title, path = plain_text(transition.origin.title), transition.origin.path
    return f"{title} ({path})" if title and title != transition.origin.name else path


def _single_wording(transition: Transition, cluster: str, portfolio: str) -> Wording:
    urgency = transition.urgency
    return Wording(
        f"{SIGN_BY_URGENCY[urgency]} {heading_of(transition)}",
        "\n".join(_lines(transition, cluster, portfolio)),
        urgency,
    )


def _lines(transition: Transition, cluster: str, portfolio: str) -> Iterator[str]:
    if transition.message:
        yield plain_text(transition.message, lines=True)
    if now := now_of(transition):
        yield f"Now: {now}"
    facts = [
        ("Reason", transition.reason),
        ("Version", transition.version),
        ("Owner", transition.origin.owner),
        ("Markets", ", ".join(transition.origin.markets)),
        ("Cluster", cluster),
    ]
    yield " · ".join(f"{name}: {plain_text(value)}" for name, value in facts if value)
    yield f"At {rfc3339(transition.time)}"
    if transition.folded:
        yield f"The state changed {transition.folded + 1} times in a short time; this is the last one."
    if command := command_of(transition):
        owner = plain_text(transition.origin.owner) or "the owner"
        yield f"Asked of {owner}: {plain_text(_fill_in(transition.kind.entry.request, transition))}"
        yield f"Next: {command}"
    elif verb := transition.kind.entry.next_step:
        origin = transition.origin
        yield f"Next: {plugin_command((origin.namespace, origin.name), verb)}"
    if portfolio:
        yield f"{portfolio.rstrip('/')}{_place_text(transition)}"


def _place_text(transition: Transition) -> str:
    """Return the path of the page about a transition; a deleted product has none."""
    origin = transition.origin
    if transition.kind is Kind.DELETED:
        return ""
    if transition.review:
        return f"/reviews/{origin.namespace}/{plain_text(transition.review)}"
    return f"/products/{origin.path}{'#act' if command_of(transition) else ''}"


def now_of(transition: Transition) -> str:
    """Return the operator's present action as plain text; empty without an open state."""
    return plain_text(transition.now or _fill_in(transition.kind.entry.now, transition))


def _fill_in(text: str, transition: Transition) -> str:
    return text.format(version=plain_text(transition.version) or "the version")


def command_of(transition: Transition) -> str:
    """Return the command that answers a need, or shows what is to correct; empty without a need."""
    if transition.urgency is not Urgency.NEEDS_PERSON:
        return ""
    command, origin = transition.command, transition.origin
    # Quotes protect the values of the command as it is, so none is removed from it.
    safe_command = command if plain_text(command) == command else ""
    return safe_command or plugin_command((origin.namespace, origin.name), "explain")


def _group_wording(transitions: Sequence[Transition], portfolio: str) -> Wording:
    entry, urgency = transitions[0].kind.entry, transitions[0].urgency
    reasons = Counter(transition.reason for transition in transitions if transition.reason)
    lines = []
    if len(reasons) == 1:
        lines.append(f"Common reason: {plain_text(next(iter(reasons)))}")
    elif reasons:
        reason_counts = (f"{plain_text(reason)} {count}" for reason, count in reasons.most_common())
        lines.append(f"Reasons: {', '.join(reason_counts)}")
    for transition in transitions[:MAX_LISTED]:
        version = f" {plain_text(transition.version)}" if transition.version else ""
        lines.append(
            f"- {transition.origin.path}{version} {plain_text(transition.message)}".rstrip()
        )
    if len(transitions) > MAX_LISTED:
        lines.append(f"… and {len(transitions) - MAX_LISTED} more")
    if urgency is Urgency.NEEDS_PERSON:
        owners = sorted(
            {plain_text(transition.origin.owner) or "the owner" for transition in transitions}
        )
        request = entry.request.format(version="the version")
        lines.append(f"Asked of {', '.join(owners[:MAX_LISTED])}: {request}")
        lines.append("Next: kubectl sluicegate get -A --needs-action")
    lines.append(f"At {rfc3339(max(transition.time for transition in transitions))}")
    if portfolio:
        lines.append(portfolio)
    title = entry.many.format(count=len(transitions))
    return Wording(f"{SIGN_BY_URGENCY[urgency]} {title}", "\n".join(lines), urgency)


def _digest_wording(message: Message, portfolio: str) -> Wording:
    content = message.digest
    if not content:
        return Wording("Test message of sluicegate", "The sink works.", Urgency.INFORMATION)
    lines = []
    for name, paths in content.get("products", {}).items():
        paths_text = ", ".join(plain_text(path) for path in paths[:MAX_LISTED])
        more_text = f" and {len(paths) - MAX_LISTED} more" if len(paths) > MAX_LISTED else ""
        lines.append(f"{plain_text(name)} ({len(paths)}): {paths_text}{more_text}")
    day = plain_text(str(content.get("day", "")))
    lines = lines or ["No product needs a person, and none is degraded."]
    if portfolio:
        lines.append(portfolio)
    total, urgent_count = content.get("total", 0), content.get("needsPerson", 0)
    products = "1 data product" if total == 1 else f"{total} data products"
    title = (
        f"{products} on {day}: {urgent_count} {'needs' if urgent_count == 1 else 'need'} a person"
    )
    return Wording(title, "\n".join(lines), Urgency.INFORMATION)
