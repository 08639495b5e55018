"""The mark of an answer: which version of which product gave it, for consumers that ask.

A consumer names itself in a header of its request. If the operator lists it (`SLUICEGATE_CONSUMERS`),
all answers to it are marked, those of errors too: a version that fails has answered. Answers to
others stay as they are (docs/adr/0028).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluicegate_service.paths import Application, Message, Receive, Scope, Send

CONSUMER_HEADER: Final = "sluicegate-consumer"
MARK_HEADER: Final = "sluicegate-version"
_CONSUMER: Final = CONSUMER_HEADER.encode()
_LONGEST: Final = 400
"""Most characters of a mark."""


class UpstreamVersion(NamedTuple):
    """A version of an upstream, which is NAMESPACE/NAME."""

    upstream: str
    version: str
    revision: str

    @override
    def __str__(self) -> str:
        return " ".join(self)


@lru_cache
def read_mark(mark: str | None) -> UpstreamVersion | None:
    """Read a mark; None for another text."""
    if mark is None or len(mark) > _LONGEST or not (mark.isascii() and mark.isprintable()):
        return None
    parts = mark.split(" ")
    is_mark = len(parts) == len(UpstreamVersion._fields) and all(parts)
    return UpstreamVersion(*parts) if is_mark else None


class VersionMarks:
    """An ASGI application that marks the answers of another one to some consumers."""

    def __init__(
        self, application: Application, made_by: UpstreamVersion, consumers: frozenset[str]
    ) -> None:
        self._application = application
        self._header = (MARK_HEADER.encode(), str(made_by).encode())
        self._consumers = frozenset(consumer.encode() for consumer in consumers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the mark if a consumer asks."""
        if scope["type"] != "http" or not self._asks(scope):
            await self._application(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), self._header]}
            await send(message)

        await self._application(scope, receive, marked)

    def _asks(self, scope: Scope) -> bool:
        return any(
            name == _CONSUMER and value in self._consumers for name, value in scope["headers"]
        )


def products_in(environment: Mapping[str, str], variable: str) -> frozenset[str]:
    """Read a list of products, each NAMESPACE/NAME; ValueError names a variable of another form."""
    text = environment.get(variable) or "[]"
    try:
        names_json: Any = json.loads(text)
    except ValueError:
        names_json = None
    if isinstance(names_json, list) and all(
        isinstance(product, str) and product.count("/") == 1 for product in names_json
    ):
        return frozenset(names_json)
    raise ValueError(f"{variable} isn't as the operator writes it: {text!r}")
