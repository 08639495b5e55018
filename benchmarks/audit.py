"""Requests to the API server by contender, counted in its audit log.

Only the contenders' requests are logged (`POLICY`): logging those of the controllers would cost the
API server more than some of the contenders do.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
SUPPLEMENTARY = frozenset({"leases", "events"})
"""Resources whose writes are counted apart: they are no product's."""
SUCCESS = range(200, 300)


class Request(NamedTuple):
    """A kind of request."""

    verb: str
    resource: str
    """With its subresource, e.g. "dataproducts/status"."""
    succeeded: bool

    @property
    def is_write(self) -> bool:
        """Whether it is a write, successful or not."""
        return self.verb in WRITES

    @property
    def is_aside(self) -> bool:
        """Whether it is of a lease or an event."""
        return self.resource.partition("/")[0] in SUPPLEMENTARY


Requests = Counter[Request]


class Written(NamedTuple):
    """A write of one object."""

    namespace: str
    name: str
    at: float
    """Time of the request, in seconds since 1970."""


def render_policy(users: Iterable[str]) -> str:
    """Render an audit policy that logs each request of these users once, when it is answered."""
    rules = [
        {"level": "Metadata", "users": sorted(users), "omitStages": ["RequestReceived"]},
        {"level": "None"},
    ]
    return json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules})


@dataclass
class AuditLog:
    """Reader of the log's new entries; the file grows and is never rotated."""

    path: Path
    written: list[Written] = field(default_factory=list)
    """Writes of products' objects so far, by the requested user; cleared by the reader."""
    _read: int = 0

    def take(self, user: str) -> Requests:
        """Return the requests of a user since the last call; a watch counts at its begin."""
        requests: Requests = Counter()
        for entry in self._entries(user):
            request = _request(entry)
            requests[request] += 1
            if request.is_write and not request.is_aside:
                self.written.append(_written(entry))
        return requests

    def _entries(self, user: str) -> Iterator[dict[str, object]]:
        with self.path.open("rb") as log:
            if log.seek(0, os.SEEK_END) < self._read:
                raise RuntimeError(f"{self.path} has become shorter: what was asked isn't known")
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                entry = json.loads(line)
                if entry["user"]["username"] == user and _counts(entry):
                    yield entry


def _counts(entry: dict[str, object]) -> bool:
    # A watch is logged when it begins and when it ends.
    begins = "ResponseStarted" if entry["verb"] == "watch" else "ResponseComplete"
    return entry["stage"] == begins and "objectRef" in entry


def _request(entry: dict[str, object]) -> Request:
    reference, status = entry["objectRef"], entry["responseStatus"]
    assert isinstance(reference, dict)
    assert isinstance(status, dict)
    parts = [reference["resource"], reference.get("subresource", "")]
    return Request(
        verb=str(entry["verb"]),
        resource="/".join(filter(None, parts)),
        succeeded=int(status["code"]) in SUCCESS,
    )


def _written(entry: dict[str, Any]) -> Written:
    reference = entry["objectRef"]
    time = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
    return Written(reference.get("namespace", ""), reference.get("name", ""), time)


def total(requests: Requests, matches: Callable[[Request], bool]) -> int:
    """Return the number of requests of some kinds."""
    return sum(number for request, number in requests.items() if matches(request))


def writes(requests: Requests) -> int:
    """Return the number of writes of products and their children, including refused ones."""
    return total(requests, lambda one: one.is_write and not one.is_aside)


def reads(requests: Requests) -> int:
    """Return the number of reads, including watches, without those of leases."""
    return total(requests, lambda one: not one.is_write and not one.is_aside)


def events(requests: Requests) -> int:
    """Return the number of written events."""
    return total(requests, lambda one: one.is_write and one.resource == "events")


def by_kind(requests: Requests) -> dict[str, int]:
    """Return numbers by "verb resource", the largest first; refused ones marked."""
    named: Counter[str] = Counter()
    for request, number in requests.items():
        named[f"{request.verb} {request.resource}{'' if request.succeeded else ' (refused)'}"] += (
            number
        )
    return dict(named.most_common())
