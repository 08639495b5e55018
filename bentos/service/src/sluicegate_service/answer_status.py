"""The status of an answer, for layers that count answers as availability does."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluicegate_service.paths import Application, Message, Receive, Scope, Send

UNKNOWN_PATH: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
"""Status codes that the operator's other queries ignore, too."""


def is_counted(status: int) -> bool:
    """Return whether an answer counts for availability."""
    return status not in UNKNOWN_PATH


def is_good(status: int) -> bool:
    """Return whether an answer counts as good for availability."""
    return status < HTTPStatus.INTERNAL_SERVER_ERROR


async def watch_answer(
    application: Application,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    count: Callable[[int, float], None],
) -> None:
    """Answer by an application, and count the answer once it is complete.

    `count` gets the status and the seconds; 500 for an exception before the answer began.
    """
    begun, status = time.perf_counter(), 0

    async def watching(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            count(status, time.perf_counter() - begun)

    try:
        await application(scope, receive, watching)
    except Exception:
        if not status:  # the server answers 500
            count(HTTPStatus.INTERNAL_SERVER_ERROR, 0.0)
        raise
