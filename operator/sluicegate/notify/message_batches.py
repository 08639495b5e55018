"""Messages from transitions: by sink, alone, in groups, or folded. Pure.

A batch holds the transitions that were collected in some seconds. In it the same transition of
several products becomes one message. The order within a product is kept: the n-th transitions of
products are only grouped with n-th ones of others.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from sluicegate.api.base import rfc3339
from sluicegate.notify.catalogue import DIGEST_TYPE, FOLDED_KINDS, PRODUCTS, Kind, Topic, Urgency
from sluicegate.notify.configuration import Configuration, When
from sluicegate.notify.transitions import Origin, Transition

OUTAGES: Final = frozenset({Kind.METRICS_LOST, Kind.UNREADY})
"""Transitions that no later one hides."""
SHORT_TEXT: Final = 160
"""Characters of each product's message in a group."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to sinks.

    Attributes
    ----------
    id : the same at each attempt, so that receivers recognise a repeated message.
    type : of the CloudEvent.
    time : of the transition; of several, the time at which they were grouped.
    made : time at which it was put into the outbox; its age counts from then.
    sinks : names of the sinks that haven't accepted it yet.
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
        """Return the paths of the products in it."""
        return frozenset(transition.origin.path for transition in self.transitions)


@dataclass(frozen=True, slots=True)
class Collected:
    """A transition that waits for its batch; `since` is the time of its detection."""

    number: int
    since: int
    transition: Transition


@dataclass(frozen=True, slots=True)
class LastSent:
    """The last messages of a topic of a product: the time of each kind, and the last one."""

    times: Mapping[str, int] = field(default_factory=dict)
    last: str = ""


OF_UPSTREAM: Final = " of "
"""Between the path of a product and that of the upstream that a message is about."""
Recent = dict[tuple[str, Topic], LastSent]
"""Last messages by the product's path (and its upstream's) and topic."""


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """Result for a batch of collected transitions.

    Attributes
    ----------
    taken : numbers of the transitions that are done.
    folded : number of transitions without a message of their own.
    """

    messages: tuple[Message, ...]
    taken: tuple[int, ...]
    recent: Recent
    folded: int = 0


def matches(condition: When, transition: Transition) -> bool:
    """Return whether a route is for a transition."""
    kind = transition.kind
    return (
        concerns(condition, transition.origin)
        and (not condition.urgency or transition.urgency in condition.urgency)
        and (not condition.type or kind in condition.type)
        and (not condition.reason or transition.reason in condition.reason)
    )


def concerns(condition: When, origin: Origin) -> bool:
    """Return whether a route or a digest is for a product."""
    return (
        (not condition.team or origin.owner in condition.team)
        and (not condition.namespace or origin.namespace in condition.namespace)
        and (not condition.product or origin.name in condition.product)
        and (not condition.market or not set(condition.market).isdisjoint(origin.markets))
        and (not condition.priority or origin.priority in condition.priority)
    )


def sinks_of(transition: Transition, configuration: Configuration) -> tuple[str, ...]:
    """Return the names of the sinks of a transition, each once."""
    names: dict[str, None] = {}
    for rule in configuration.routes:
        if matches(rule.when, transition):
            names.update(dict.fromkeys(rule.to))
            if not rule.go_on:
                break
    return tuple(names)


def batch_of(
    collected: Sequence[Collected], recent_changes: Recent, configuration: Configuration, now: int
) -> MessageBatch | None:
    """Return the messages that are due; None if none are."""
    unheld, folding = _split_held(collected, recent_changes, configuration, now)
    due_entries = [entry for entry in unheld if now - entry.since >= configuration.group_seconds]
    ended_topics, folded = _unfolded(folding, recent_changes, configuration, now)
    if not due_entries and not folded:
        return None
    ready_entries = sorted(
        [*(unheld if due_entries else ()), *ended_topics], key=lambda entry: entry.number
    )
    taken_numbers = [entry.number for entry in (unheld if due_entries else ())]
    taken_numbers += [entry.number for group in folded for entry in group]
    return MessageBatch(
        messages=tuple(
            _messages([entry.transition for entry in ready_entries], configuration, now)
        ),
        taken=tuple(taken_numbers),
        recent=_remembered(recent_changes, ready_entries, configuration, now),
        folded=len(taken_numbers) - len(ready_entries),
    )


def _outage(transition: Transition) -> str:
    """Return an outage in a few words."""
    state = "not measured" if transition.kind is Kind.METRICS_LOST else "not ready"
    return f"{state} from {rfc3339(transition.time)} ({transition.reason})"


def _mark(transition: Transition) -> str:
    """Return the key that identifies equal transitions of a topic, for some topics with the reason."""
    by_reason = transition.kind in {Kind.STALLED, *OUTAGES}
    return f"{transition.kind}/{transition.reason}" if by_reason else str(transition.kind)


def _place(entry: Collected) -> tuple[str, Topic]:
    transition = entry.transition
    upstream_text = f"{OF_UPSTREAM}{transition.upstream}" if transition.upstream else ""
    return f"{transition.origin.path}{upstream_text}", transition.kind.entry.topic


def _split_held(
    collected: Sequence[Collected], recent_changes: Recent, configuration: Configuration, now: int
) -> tuple[list[Collected], dict[tuple[str, Topic], list[Collected]]]:
    """Split transitions into those to send and those to hold by topic.

    A transition is held if the same one was sent a short time ago, and with it all later ones of
    its topic.
    """
    unheld, held_by_topic = [], defaultdict(list)
    marks_of: dict[tuple[str, Topic], set[str]] = defaultdict(set)
    for entry in collected:
        topic_place = _place(entry)
        if topic_place[1] in FOLDED_KINDS and configuration.fold_seconds:
            identity_mark = _mark(entry.transition)
            last_change = recent_changes.get(topic_place, LastSent()).times.get(identity_mark)
            soon = last_change is not None and now - last_change < configuration.fold_seconds
            # A transition whose time ends in this pass is still held: `_unfolded` decides about it.
            is_late = (
                last_change is not None and entry.since - last_change < configuration.fold_seconds
            )
            if (
                topic_place in held_by_topic
                or soon
                or is_late
                or identity_mark in marks_of[topic_place]
            ):
                held_by_topic[topic_place].append(entry)
                continue
            marks_of[topic_place].add(identity_mark)
        unheld.append(entry)
    return unheld, held_by_topic


def _unfolded(
    held_by_topic: Mapping[tuple[str, Topic], list[Collected]],
    recent_changes: Recent,
    configuration: Configuration,
    now: int,
) -> tuple[list[Collected], list[list[Collected]]]:
    """Return the held transitions that are due: the last of each topic, with those that it replaces.

    One that ends as it began is sent, too, if it was an outage in between, which it names.
    """
    still_held, ended_topics = [], []
    for topic_place, group in held_by_topic.items():
        last_sent = recent_changes.get(topic_place, LastSent())
        since_time = last_sent.times.get(_mark(group[0].transition), group[0].since)
        if now - since_time < configuration.fold_seconds:
            continue
        ended_topics.append(group)
        last_change = group[-1]
        outages = [entry.transition for entry in group[:-1] if entry.transition.kind in OUTAGES]
        if _mark(last_change.transition) != last_sent.last or outages:
            message = "; ".join(
                filter(None, [last_change.transition.message, *map(_outage, outages)])
            )
            folded = replace(last_change.transition, message=message, folded=len(group) - 1)
            still_held.append(replace(last_change, transition=folded))
    return still_held, ended_topics


def _remembered(
    recent_changes: Recent,
    ready_entries: Iterable[Collected],
    configuration: Configuration,
    now: int,
) -> Recent:
    """Return the recorded last messages, with the new ones and without outdated ones."""
    recent_by_place = {
        topic_place: LastSent({kind: number for kind, number in sent.times.items() if now - number < 2 * configuration.fold_seconds}, sent.last)
        for topic_place, sent in recent_changes.items()
    }  # fmt: skip
    for transition in ready_entries:
        topic_place = _place(transition)
        if topic_place[1] in FOLDED_KINDS and configuration.fold_seconds:
            last_sent = recent_by_place.get(topic_place, LastSent())
            identity_mark = _mark(transition.transition)
            recent_by_place[topic_place] = LastSent(
                {**last_sent.times, identity_mark: now}, identity_mark
            )
    return {
        topic_place: last_sent
        for topic_place, last_sent in recent_by_place.items()
        if last_sent.times
    }


def _messages(
    ready_entries: Sequence[Transition], configuration: Configuration, now: int
) -> Iterator[Message]:
    """Yield the messages of a batch; equal ones for several sinks are one."""
    turns: dict[str, int] = defaultdict(int)
    groups: dict[tuple[int, str, Kind, Urgency], list[Transition]] = defaultdict(list)
    for transition in ready_entries:
        turn = turns[transition.origin.path]
        turns[transition.origin.path] += 1
        for sink in sinks_of(transition, configuration):
            if configuration.sinks[sink].kind != "Alertmanager":  # it receives states
                groups[turn, sink, transition.kind, transition.urgency].append(transition)
    messages: dict[str, Message] = {}
    for (_, sink, *_), group in sorted(groups.items(), key=lambda item: item[0][0]):
        for message in _split(group, configuration, now):
            message_before = messages.get(message.id, message)
            messages[message.id] = replace(message_before, sinks=(*message_before.sinks, sink))
    yield from messages.values()


def _split(
    group: Sequence[Transition], configuration: Configuration, now: int
) -> Iterator[Message]:
    if len(group) >= configuration.group_products:
        yield group_message(group, now)
    else:
        yield from (single_message(entry, now) for entry in group)


def single_message(transition: Transition, now: int) -> Message:
    """Return a message about one transition."""
    return Message(
        transition.id, transition.kind.event_type(), transition.time, now, transitions=(transition,)
    )


def group_message(group: Sequence[Transition], now: int) -> Message:
    """Return a short message about the same transition of several products."""
    names = "".join(sorted(entry.id for entry in group))
    digest = sha256(names.encode()).hexdigest()[:16]
    short = tuple(
        replace(entry, message=_shortened(entry.message), decision=None) for entry in group
    )
    return Message(digest, group[0].kind.event_type(PRODUCTS), now, now, transitions=short)


def _shortened(text: str) -> str:
    return text if len(text) <= SHORT_TEXT else f"{text[: SHORT_TEXT - 1]}…"


def digest_message(
    name: str, day: str, content: Mapping[str, Any], *, sinks: tuple[str, ...], now: int
) -> Message:
    """Return the message with a digest; its id depends on the day."""
    message_id = sha256(f"{name}|{day}".encode()).hexdigest()[:16]
    return Message(message_id, DIGEST_TYPE, now, now, sinks, digest=content)
