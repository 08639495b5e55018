"""Requests whose predictions are logged: a share of all, chosen by chance or by the caller's id."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from sluicegate_service.answers import current_answer
from sluicegate_service.log_rows import Served
from sluicegate_service.markets import current_market
from sluicegate_service.mirroring import Received, current_request, replayed
from sluicegate_service.prediction_log import LARGEST_ROW

if TYPE_CHECKING:
    from sluicegate_service.feedback import Settings
    from sluicegate_service.paths import Application, Message, Receive, Scope, Send
    from sluicegate_service.prediction_log import PredictionLog


class LoggedRequests:
    """An ASGI application that logs the predictions of another one, whose answers pass unchanged.

    It must be behind `TokensInHeaders`, which has the caller's id and signs what is logged.
    """

    def __init__(self, application: Application, log: PredictionLog, identity: Settings) -> None:
        self._application = application
        self._log = log
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and log a request that is chosen."""
        answer = current_answer.get()
        is_copy = isinstance(current_request.get(), Received)
        if answer is None or is_copy or not self._log.samples(answer.caller_id):
            await self._application(scope, receive, send)
            return
        answer.logged = True
        message = await receive()
        status, size, parts = 0, 0, []

        async def watching(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif size <= LARGEST_ROW:
                part = message.get("body", b"")
                size += len(part)
                parts.append(part)
            await send(message)

        await self._application(scope, replayed(message, receive), watching)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            self._log.put(
                Served(
                    seconds=self._log.clock(),
                    path=scope["path"],
                    body=message.get("body", b""),
                    answer=b"" if answer.predictions else b"".join(parts),
                    predictions=tuple(answer.predictions),
                    batch=answer.batch,
                    market=current_market.get(),
                    version=self._identity.version,
                    revision=self._identity.revision,
                    monitored=answer.monitored,
                )
            )
