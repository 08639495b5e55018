"""The journal in one ConfigMap: cursors, collected transitions, undelivered messages.

Each write carries the resourceVersion that was read, so that of two replicas one gets 409. A cursor
and the transitions before it are stored in the same write, and a message is stored before it is
sent: whenever the process ends, each transition is derived once, and undelivered messages are kept.
After a write without an answer the memory may be outdated; the journal is read again before the
next decision.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from sluicegate.api.extent import compact_json
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError, NotFound, Transient
from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.notify.catalogue import Topic
from sluicegate.notify.cursor import Cursor, decode_cursor, encode_cursor
from sluicegate.notify.message_batches import (
    OF_UPSTREAM,
    Collected,
    LastSent,
    Message,
    MessageBatch,
    Recent,
)
from sluicegate.notify.metrics import DROPPED_MESSAGES, PENDING_MESSAGES
from sluicegate.notify.transitions import Transition
from sluicegate.runtime.clock import Clock

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 1_000_000
"""Largest size of the ConfigMap's data; the API server accepts 1 MiB."""
STUCK_SECONDS: Final = 300
"""Age from which a message that is still undelivered may be dropped to make room for new ones."""

CURSOR_PREFIX, COLLECTED_PREFIX, MESSAGE_PREFIX, SINKS_PREFIX, RECENT_PREFIX, DIGEST_PREFIX = (
    "p.",
    "t.",
    "m.",
    "s.",
    "f.",
    "d.",
)
"""Beginnings of the keys, each followed by `namespace.name` (and `_namespace.name` of an upstream), by a
number, or by a digest's name."""

_COLLECTED_ADAPTER: Final = TypeAdapter(tuple[int, Transition])
_MESSAGE: Final = TypeAdapter(Message)

Changes = dict[str, str | None]


class JournalFull(Transient):
    """There is no room for another transition until messages are delivered."""


@dataclass(eq=False, slots=True)
class _Waiting:
    changes: Changes
    transitions: Sequence[Transition]
    done: bool = False
    error: KubeError | None = None


class Journal:
    """The ConfigMap with cursors and undelivered messages; only the leader writes it."""

    def __init__(self, api: KubeApi, key: Key, wall_clock: Clock) -> None:
        """Store the settings; nothing is read yet."""
        self._api = api
        self._key = key
        self._wall = wall_clock
        self._version = ""
        self._data: dict[str, str] = {}
        self._stale = True
        self._lock = asyncio.Lock()
        self._waiting: list[_Waiting] = []
        self._next = 0
        self._messages: dict[int, Message] = {}
        self._collected: dict[int, Collected] = {}
        self.on_change: list[Callable[[], None]] = []

    # ---- reading ------------------------------------------------------------------------------
    async def refresh(self) -> None:
        """Read the ConfigMap, if the memory may be outdated; KubeError if that fails."""
        if self._stale:
            async with self._lock:
                await self._load()

    def mark_outdated(self) -> None:
        """Mark the memory as outdated: another replica may have written."""
        self._stale = True

    def cursor(self, key: Key) -> Cursor | None:
        """Return the cursor of a product; None for a new one."""
        text = self._data.get(_key_text(key))
        return None if text is None else decode_cursor(text)

    def products(self) -> Iterator[Key]:
        """Yield the products that have a cursor."""
        for name in tuple(self._data):
            if name.startswith(CURSOR_PREFIX):
                namespace, _, product = name.removeprefix(CURSOR_PREFIX).partition(".")
                yield Key(namespace, product)

    @property
    def collected(self) -> tuple[Collected, ...]:
        """Return the transitions that wait for their batch, in order."""
        return tuple(self._collected.values())

    @property
    def messages(self) -> tuple[tuple[int, Message], ...]:
        """Return the undelivered messages in order, each with its number."""
        return tuple(self._messages.items())

    @property
    def recent(self) -> Recent:
        """Return the newest messages of topics that may flap."""
        by_place: Recent = {}
        for name, text in self._data.items():
            if name.startswith(RECENT_PREFIX):
                path = _path_of(name.removeprefix(RECENT_PREFIX))
                for topic, (times, last_time) in json.loads(text).items():
                    by_place[path, Topic(topic)] = LastSent(times, last_time)
        return by_place

    def digest_day(self, name: str) -> str:
        """Return the day of the last digest; empty before the first."""
        return self._data.get(f"{DIGEST_PREFIX}{name}", "")

    # ---- writing ------------------------------------------------------------------------------
    async def take(
        self, key: Key, cursor: Cursor | None, transitions: Sequence[Transition]
    ) -> None:
        """Store a product's cursor and its transitions in one write.

        Raises
        ------
        JournalFull
            Too many messages are undelivered.
        KubeError
            It wasn't written, or this is unknown; derive the transitions again.
        """
        entry = _Waiting(
            {_key_text(key): None if cursor is None else encode_cursor(cursor)}, transitions
        )
        self._waiting.append(entry)
        async with self._lock:  # the first caller writes for all that wait
            if not entry.done:
                await self._flush()
        if entry.error is not None:
            raise entry.error

    async def dispatch(self, batch: MessageBatch, days: Mapping[str, str]) -> None:
        """Replace collected transitions by messages; `days` are those of digests."""
        async with self._lock:
            self._need_fresh()
            changes: Changes = {f"{COLLECTED_PREFIX}{number:012}": None for number in batch.taken}
            for message_number, message in enumerate(batch.messages, start=self._next):
                changes[f"{MESSAGE_PREFIX}{message_number:012}"] = _message_json(message)
                changes[f"{SINKS_PREFIX}{message_number:012}"] = " ".join(message.sinks)
            changes |= self._recent_changes(batch.recent)
            changes |= {f"{DIGEST_PREFIX}{name}": day for name, day in days.items()}
            await self._commit(changes)
        self._notify_listeners()

    async def delivered(self, number: int, sink: str) -> None:
        """Record that a message needn't be sent to a sink any more."""
        async with self._lock:
            self._need_fresh()
            message = self._messages.get(number)
            if message is None or sink not in message.sinks:
                return
            remaining_sinks = [sink_name for sink_name in message.sinks if sink_name != sink]
            await self._commit(self._with_sinks(number, remaining_sinks))

    async def drop_unknown_sinks(self, sinks: Sequence[str]) -> None:
        """Drop messages for sinks that aren't configured any more."""
        async with self._lock:
            self._need_fresh()
            changes: Changes = {}
            for number, message in self._messages.items():
                remaining_sinks = [sink for sink in message.sinks if sink in sinks]
                if len(remaining_sinks) < len(message.sinks):
                    changes |= self._with_sinks(number, remaining_sinks)
                    DROPPED_MESSAGES.labels(sink="unknown", cause="removed").inc()
            if changes:
                await self._commit(changes)

    def _with_sinks(self, number: int, remaining_sinks: Sequence[str]) -> Changes:
        name = f"{number:012}"
        if remaining_sinks:
            return {f"{SINKS_PREFIX}{name}": " ".join(remaining_sinks)}
        return {f"{SINKS_PREFIX}{name}": None, f"{MESSAGE_PREFIX}{name}": None}

    def _recent_changes(self, recent: Recent) -> Changes:
        topics_of: dict[str, dict[str, Any]] = {}
        for (path, topic), last_sent in recent.items():
            name = f"{RECENT_PREFIX}{_path_key(path)}"
            topics_of.setdefault(name, {})[topic] = [last_sent.times, last_sent.last]
        texts = {name: compact_json(value) for name, value in topics_of.items()}
        outdated_names = {
            name for name in self._data if name.startswith(RECENT_PREFIX)
        } - texts.keys()
        changed_texts = {name: text for name, text in texts.items() if self._data.get(name) != text}
        return {**dict.fromkeys(outdated_names), **changed_texts}

    async def _flush(self) -> None:
        entries, self._waiting = self._waiting, []
        changes: Changes = {}
        number, since_seconds = self._next, int(self._wall())
        for entry in entries:
            changes |= entry.changes
            for transition in entry.transitions:
                changes[f"{COLLECTED_PREFIX}{number:012}"] = _transition_json(
                    since_seconds, transition
                )
                number += 1
        error: KubeError = Transient("the write of others that wait was interrupted")
        try:
            self._need_fresh()
            changes |= self._room_for(changes)
            await self._commit(changes)
        except KubeError as refusal:
            error = refusal
        else:
            for entry in entries:
                entry.done = True
        finally:
            for entry in entries:
                if not entry.done:
                    entry.done, entry.error = True, error
        self._notify_listeners()

    def _room_for(self, changes: Changes) -> Changes:
        """Return the changes that drop old messages, so that the new changes fit."""
        size = sum(
            len(name) + len(text.encode()) for name, text in (self._data | changes).items() if text
        )
        dropped_names: Changes = {}
        for number, message in self._messages.items():
            if size <= MAX_BYTES:
                break
            if self._wall() - message.made < STUCK_SECONDS:
                continue
            dropped_names |= self._with_sinks(number, ())
            size -= len(self._data[f"{MESSAGE_PREFIX}{number:012}"].encode())
            for sink in message.sinks:
                DROPPED_MESSAGES.labels(sink=sink, cause="full").inc()
        if size > MAX_BYTES:
            raise JournalFull("too many messages are undelivered: the ConfigMap is full")
        return dropped_names

    def _need_fresh(self) -> None:
        if self._stale:
            raise Transient("what was read of the ConfigMap may be outdated")

    async def _commit(self, changes: Changes) -> None:
        """Write changes to the ConfigMap, then to memory; a failed write marks the memory as outdated."""
        self._stale = True
        body = await self._api.patch(
            CONFIG_MAPS, self._key, {"data": changes}, resource_version=self._version
        )
        self._version = body["metadata"]["resourceVersion"]
        for name, text in changes.items():
            if text is None:
                self._data.pop(name, None)
            else:
                self._data[name] = text
        self._stale = False
        self._take_in(changes)

    async def _load(self) -> None:
        if not self._stale:
            return
        try:
            body = await self._api.get(CONFIG_MAPS, self._key)
        except NotFound:
            meta = {"namespace": self._key.namespace, "name": self._key.name}
            body = await self._api.create(CONFIG_MAPS, {"metadata": meta, "data": {}})
        self._version = body["metadata"]["resourceVersion"]
        self._data = dict(body.get("data") or {})
        self._messages.clear()
        self._collected.clear()
        self._take_in(dict.fromkeys(sorted(self._data)))
        self._stale = False

    def _take_in(self, names: Mapping[str, Any]) -> None:
        """Parse the values of these keys again."""
        for name in names:
            key_prefix, number = name[:2], name[2:]
            if key_prefix in {COLLECTED_PREFIX, MESSAGE_PREFIX, SINKS_PREFIX} and number.isdigit():
                self._parse(key_prefix, int(number))
                self._next = max(self._next, int(number) + 1)
        PENDING_MESSAGES.set(len(self._messages))

    def _parse(self, key_prefix: str, number: int) -> None:
        name = f"{number:012}"
        try:
            if key_prefix == COLLECTED_PREFIX:
                text = self._data.get(f"{COLLECTED_PREFIX}{name}")
                if text is None:
                    self._collected.pop(number, None)
                    return
                since_seconds, transition = _COLLECTED_ADAPTER.validate_json(text)
                self._collected[number] = Collected(number, since_seconds, transition)
                return
            text = self._data.get(f"{MESSAGE_PREFIX}{name}")
            sinks = tuple(self._data.get(f"{SINKS_PREFIX}{name}", "").split())
            if text is None or not sinks:
                self._messages.pop(number, None)
                return
            self._messages[number] = replace(_MESSAGE.validate_json(text), sinks=sinks)
        except ValidationError:
            logger.warning(
                "%s%s in the ConfigMap can't be read, and is not changed", key_prefix, name
            )

    def _notify_listeners(self) -> None:
        for listener in self.on_change:
            listener()


def _path_key(path: str) -> str:
    """Return the part of a key for `namespace/name`, or for `namespace/name of namespace/name`.

    A key of a ConfigMap has no space and no slash, and no product's name has `_`.
    """
    return path.replace("/", ".").replace(OF_UPSTREAM, "_")


def _path_of(path_key: str) -> str:
    paths = (part.replace(".", "/", 1) for part in path_key.split("_"))
    return OF_UPSTREAM.join(paths)


def _key_text(key: Key) -> str:
    return f"{CURSOR_PREFIX}{key.namespace}.{key.name}"


def _transition_json(since_seconds: int, transition: Transition) -> str:
    return _COLLECTED_ADAPTER.dump_json((since_seconds, transition), exclude_defaults=True).decode()


def _message_json(message: Message) -> str:
    """Encode a message without its sinks, which change and are stored separately."""
    empty_fields = {"sinks"} if message.digest else {"sinks", "digest"}
    return _MESSAGE.dump_json(message, exclude=empty_fields, exclude_defaults=True).decode()
