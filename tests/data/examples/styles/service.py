"""Styles of BentoML's documentation in one service, without a line for Sluicegate.

A stream, a task, a WebSocket of a mounted application, template arguments, tracing, and another
server behind `bentoml.depends`.
"""

import os
from collections.abc import AsyncGenerator

import bentoml
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket


class Arguments(BaseModel):
    greeting: str = "hello"


ARGUMENTS = bentoml.use_arguments(Arguments)
UPSTREAM = os.environ.get("UPSTREAM")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(f"{ARGUMENTS.greeting} {await socket.receive_text()}")
    await socket.close()


chat = Starlette(routes=[WebSocketRoute("/talk", talk)])


@bentoml.service(name="Styles", tracing={"sample_rate": 1.0, "exporter_type": "in_memory"})
@bentoml.asgi_app(chat, path="/chat")
class Styles:
    upstream = bentoml.depends(url=UPSTREAM) if UPSTREAM else None

    @bentoml.api
    async def words(self, count: int) -> AsyncGenerator[str, None]:
        for number in range(count):
            yield f"{ARGUMENTS.greeting} {number}\n"

    @bentoml.task
    def doubled(self, count: int) -> int:
        return 2 * count

    @bentoml.api
    def square(self, count: int) -> int:
        return count**2

    @bentoml.api
    def relayed(self, count: int) -> int:
        return self.upstream.to_sync.square(count=count)
