"""From transitions to messages: which sink gets what, alone, together, or folded. Pure.

A batch is what was collected in some seconds. In it the same transition of several products is one
message, and the order within a product is kept: the n-th transitions of products are only put
together with n-th ones of others.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from sluicegate.notify.catalogue import DIGEST_TYPE, FOLDING, PRODUCTS, Kind, Topic, Urgency
from sluicegate.notify.configuration import Configuration, When
from sluicegate.notify.transitions import Origin, Transition

SHORT_TEXT: Final = 160
"""Characters of each product's message where there are several."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one sink is sent at once.

    Attributes
    ----------
    id : the same at each attempt: receivers know a repeated message by it.
    type : of the CloudEvent.
    time : of the transition; of several, when they were put together.
    made : when it was put into the outbox; its age counts from here.
    sinks : names of those that it still has to reach.
    transitions : one, or the same one of several products; none of a digest.
    digest : the content of a digest.
    """

    id: str
    type: str
    time: int
    made: int = 0
    sinks: tuple[str, ...] = ()
    transitions: tuple[Transition, ...] = ()
    digest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def products(self) -> frozenset[str]:
        """Paths of the products that it is about."""
        return frozenset(one.origin.path for one in self.transitions)


@dataclass(frozen=True, slots=True)
class Collected:
    """A transition that waits for its batch; `since` is when it was found."""

    number: int
    since: int
    transition: Transition


@dataclass(frozen=True, slots=True)
class LastSent:
    """What was last sent of a topic of a product: the time of each, and the last one."""

    times: Mapping[str, int] = field(default_factory=dict)
    last: str = ""


Recent = dict[tuple[str, Topic], LastSent]
"""By the product's path and topic."""


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """What becomes of collected transitions.

    Attributes
    ----------
    taken : numbers of those that need no longer be kept.
    folded : how many of them are sent by no message of their own.
    """

    messages: tuple[Message, ...]
    taken: tuple[int, ...]
    recent: Recent
    folded: int = 0


def matches(when: When, transition: Transition) -> bool:
    """Whether a route is for a transition."""
    kind = transition.kind
    return (
        concerns(when, transition.origin)
        and (not when.urgency or transition.urgency in when.urgency)
        and (not when.type or kind in when.type)
        and (not when.reason or transition.reason in when.reason)
    )


def concerns(when: When, origin: Origin) -> bool:
    """Whether a route or a digest is for a product."""
    return (
        (not when.team or origin.owner in when.team)
        and (not when.namespace or origin.namespace in when.namespace)
        and (not when.product or origin.name in when.product)
        and (not when.market or not set(when.market).isdisjoint(origin.markets))
        and (not when.priority or origin.priority in when.priority)
    )


def sinks_of(transition: Transition, configuration: Configuration) -> tuple[str, ...]:
    """Names of the sinks that a transition goes to, each once."""
    found: dict[str, None] = {}
    for rule in configuration.routes:
        if matches(rule.when, transition):
            found.update(dict.fromkeys(rule.to))
            if not rule.go_on:
                break
    return tuple(found)


def batch_of(
    collected: Sequence[Collected], recent: Recent, configuration: Configuration, now: int
) -> MessageBatch | None:
    """What is to be sent now; None while nothing is due."""
    free, folding = _held(collected, recent, configuration, now)
    due = [one for one in free if now - one.since >= configuration.group_seconds]
    ended, folded = _unfolded(folding, recent, configuration, now)
    if not due and not folded:
        return None
    ready = sorted([*(free if due else ()), *ended], key=lambda one: one.number)
    taken = [one.number for one in (free if due else ())]
    taken += [one.number for group in folded for one in group]
    return MessageBatch(
        messages=tuple(_messages([one.transition for one in ready], configuration, now)),
        taken=tuple(taken),
        recent=_remembered(recent, ready, configuration, now),
        folded=len(taken) - len(ready),
    )


def _mark(one: Transition) -> str:
    """What makes two transitions of a topic the same: another reason to stall is another one."""
    return f"{one.kind}/{one.reason}" if one.kind is Kind.STALLED else str(one.kind)


def _place(one: Collected) -> tuple[str, Topic]:
    return one.transition.origin.path, one.transition.kind.entry.topic


def _held(
    collected: Sequence[Collected], recent: Recent, configuration: Configuration, now: int
) -> tuple[list[Collected], dict[tuple[str, Topic], list[Collected]]]:
    """Those that may go, and by topic those that follow the same one too soon, with all after it."""
    free, held = [], defaultdict(list)
    seen: dict[tuple[str, Topic], set[str]] = defaultdict(set)
    for one in collected:
        place = _place(one)
        if place[1] in FOLDING and configuration.fold_seconds:
            mark = _mark(one.transition)
            last = recent.get(place, LastSent()).times.get(mark)
            soon = last is not None and now - last < configuration.fold_seconds
            # What ended its time in this very look is still held: `_unfolded` has the last word.
            late = last is not None and one.since - last < configuration.fold_seconds
            if place in held or soon or late or mark in seen[place]:
                held[place].append(one)
                continue
            seen[place].add(mark)
        free.append(one)
    return free, held


def _unfolded(
    held: Mapping[tuple[str, Topic], list[Collected]],
    recent: Recent,
    configuration: Configuration,
    now: int,
) -> tuple[list[Collected], list[list[Collected]]]:
    """What is left of the flapping whose time is over, and all that it stands for."""
    left, over = [], []
    for place, group in held.items():
        sent = recent.get(place, LastSent())
        since = sent.times.get(_mark(group[0].transition), group[0].since)
        if now - since < configuration.fold_seconds:
            continue
        over.append(group)
        last = group[-1]
        if _mark(last.transition) != sent.last:
            left.append(replace(last, transition=replace(last.transition, folded=len(group) - 1)))
    return left, over


def _remembered(
    recent: Recent, ready: Iterable[Collected], configuration: Configuration, now: int
) -> Recent:
    """What was sent lately, with what is sent now; nothing that is too long ago to matter."""
    found = {
        place: LastSent({kind: at for kind, at in sent.times.items() if now - at < 2 * configuration.fold_seconds}, sent.last)
        for place, sent in recent.items()
    }  # fmt: skip
    for one in ready:
        place = _place(one)
        if place[1] in FOLDING and configuration.fold_seconds:
            sent = found.get(place, LastSent())
            mark = _mark(one.transition)
            found[place] = LastSent({**sent.times, mark: now}, mark)
    return {place: sent for place, sent in found.items() if sent.times}


def _messages(
    ready: Sequence[Transition], configuration: Configuration, now: int
) -> Iterator[Message]:
    """The messages of a batch; one that several sinks get alike is one."""
    turns: dict[str, int] = defaultdict(int)
    groups: dict[tuple[int, str, Kind, Urgency], list[Transition]] = defaultdict(list)
    for one in ready:
        turn = turns[one.origin.path]
        turns[one.origin.path] += 1
        for sink in sinks_of(one, configuration):
            if configuration.sinks[sink].kind != "Alertmanager":  # it receives states
                groups[turn, sink, one.kind, one.urgency].append(one)
    found: dict[str, Message] = {}
    for (_, sink, *_), group in sorted(groups.items(), key=lambda item: item[0][0]):
        for message in _split(group, configuration, now):
            known = found.get(message.id, message)
            found[message.id] = replace(known, sinks=(*known.sinks, sink))
    yield from found.values()


def _split(
    group: Sequence[Transition], configuration: Configuration, now: int
) -> Iterator[Message]:
    if len(group) >= configuration.group_products:
        yield together(group, now)
    else:
        yield from (alone(one, now) for one in group)


def alone(one: Transition, now: int) -> Message:
    """A message about one transition."""
    return Message(one.id, one.kind.event_type(), one.time, now, transitions=(one,))


def together(group: Sequence[Transition], now: int) -> Message:
    """A message about the same transition of several products, in short."""
    names = "".join(sorted(one.id for one in group))
    known = sha256(names.encode()).hexdigest()[:16]
    short = tuple(replace(one, message=one.message[:SHORT_TEXT], decision=None) for one in group)
    return Message(known, group[0].kind.event_type(PRODUCTS), now, now, transitions=short)


def digest_message(
    name: str, day: str, content: Mapping[str, Any], *, sinks: tuple[str, ...], now: int
) -> Message:
    """A digest; its id is that of its day."""
    known = sha256(f"{name}|{day}".encode()).hexdigest()[:16]
    return Message(known, DIGEST_TYPE, now, now, sinks, digest=content)
