"""Tracing interface: code that creates spans depends on `Spans` only, not on OpenTelemetry.

All other packages may import it, as requests to the API server and to Prometheus are spans, too.
`runtime.tracing` sends traces; without it `no_spans` is used, which does nothing.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol, Self, TypeAlias

from typing_extensions import override

Value: TypeAlias = str | int | float | bool

TRACE: ContextVar[str] = ContextVar("trace", default="")
"""Id of the trace that is being recorded (32 hex digits), for the logs; empty outside of one."""


class Span(Protocol):
    """A running piece of work."""

    def set(self, name: str, value: Value) -> None:
        """Set an attribute."""


class Spans(Protocol):
    """A function that opens spans; each is a child of the surrounding span of its task, or begins a trace."""

    def __call__(
        self, name: str, attributes: Mapping[str, Value] | None = None, /
    ) -> AbstractContextManager[Span]:
        """Return a context manager; an exception marks the span as failed."""


class _Nothing(AbstractContextManager["_Nothing"]):
    """A span that isn't recorded; one instance is used for all."""

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        return None

    def set(self, name: str, value: Value) -> None:
        """Ignore the attribute."""


_NOTHING = _Nothing()


def no_spans(_name: str, _attributes: Mapping[str, Value] | None = None, /) -> _Nothing:
    """Return a span that isn't recorded."""
    return _NOTHING
