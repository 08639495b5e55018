"""Tracing interface: code that creates spans depends on `Spans` only, not on OpenTelemetry.

It lies below everything, as requests to the API server and to Prometheus are spans too. What
sends traces is `runtime.tracing`; without it `no_spans` is given, which does nothing.
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
    """A piece of work that is under way."""

    def set(self, name: str, value: Value) -> None:
        """Add what became known while it went on."""


class Spans(Protocol):
    """Opens spans; each belongs to the one around it in the same task, or begins a trace."""

    def __call__(
        self, name: str, attributes: Mapping[str, Value] | None = None, /
    ) -> AbstractContextManager[Span]:
        """Return a context; an exception that leaves it marks the span as failed."""


class _Nothing(AbstractContextManager["_Nothing"]):
    """A span that isn't recorded; one instance serves all."""

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        return None

    def set(self, name: str, value: Value) -> None:
        """Forget it."""


_NOTHING = _Nothing()


def no_spans(_name: str, _attributes: Mapping[str, Value] | None = None, /) -> _Nothing:
    """Return the span that isn't recorded."""
    return _NOTHING
