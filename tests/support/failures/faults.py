"""What can be wrong between a client and the API server, and for which requests it is.

Plain values: `fault_proxy` carries them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class ArrivedRequest:
    """A request as it arrived; `answer` is the status that was sent back, 0 for none (yet)."""

    at: float  # time.monotonic()
    method: str
    path: str
    query: Mapping[str, str]
    agent: str
    answer: int = 0

    @property
    def watch(self) -> bool:
        return "watch" in self.query


@dataclass(frozen=True, slots=True)
class Requests:
    """Which requests a fault is for; what is left out matches all."""

    methods: tuple[str, ...] = ()
    path: str = ""  # a regular expression, searched in the path
    watch: bool | None = None
    dry_run: bool | None = None

    def match(self, arrived: ArrivedRequest) -> bool:
        return (
            (not self.methods or arrived.method in self.methods)
            and self.watch in {None, arrived.watch}
            and self.dry_run in {None, "dryRun" in arrived.query}
            and re.search(self.path, arrived.path) is not None
        )


EVERYTHING = Requests()
WATCHES = Requests(watch=True)
LEASES = Requests(path=r"/leases")
NOT_LEASES = Requests(path=r"^(?!.*/leases)")
WRITES = Requests(methods=("POST", "PUT", "PATCH", "DELETE"), path=NOT_LEASES.path)


@dataclass(frozen=True, slots=True)
class Answer:
    """The request isn't passed on; this is the answer, with a Status object."""

    status: int


@dataclass(frozen=True, slots=True)
class Hang:
    """The request is taken and never answered, not even when the fault is over."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The request is forwarded late, even after the client's timeout."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    """A watch stays open and sends nothing any more; those that are open already too."""


@dataclass(frozen=True, slots=True)
class CutInLine:
    """A watch breaks in the middle of its next event."""


Fault: TypeAlias = Answer | Hang | Delay | Silence | CutInLine


@dataclass(slots=True)
class Rule:
    """A fault in force: the requests that match get it; `taken` have got it."""

    fault: Fault
    requests: Requests
    uses: int = 0

    def take(self, arrived: ArrivedRequest) -> bool:
        """Return whether this request gets the fault."""
        matches = self.requests.match(arrived)
        self.uses += matches
        return matches
