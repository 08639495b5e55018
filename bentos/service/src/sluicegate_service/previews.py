"""Previews: requests of people and tests to a candidate, which count for nothing.

The HTTPRoute of previews (`rollout.preview`) leads requests with the header to the candidate. They run
the service's own code, and their answers are those of any request, with the mark of the version that
gave them. They are in no indicator, have no token, and aren't logged or mirrored (docs/adr/0029).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sluicegate_service.environment import PREVIEW
from sluicegate_service.mirroring import Received, current_request, mounted_apart
from sluicegate_service.version_marks import MARK_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluicegate_service.paths import Application, Message, Receive, Scope, Send
    from sluicegate_service.version_marks import UpstreamVersion

HEADER: Final = "sluicegate-preview"


def has_preview(environment: Mapping[str, str]) -> bool:
    """Return whether the operator's variable is set."""
    return environment.get(PREVIEW) == "true"


class Previews:
    """An ASGI application that keeps requests with the header of previews out of all counts.

    Attributes
    ----------
    paths : of the API, without /feedback.
    made_by : the version of this pod; its product is the value of the header.
    """

    def __init__(
        self, application: Application, paths: frozenset[str], made_by: UpstreamVersion
    ) -> None:
        self._application = application
        self._paths = paths
        self._header = (HEADER.encode(), made_by.upstream.encode())
        self._mark = (MARK_HEADER.encode(), str(made_by).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; one with the header under a path of its own, with the mark of the version."""
        if (
            scope["type"] != "http"
            or scope["path"] not in self._paths
            or self._header not in scope["headers"]
        ):
            await self._application(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), self._mark]}
            await send(message)

        token = current_request.set(Received())
        try:
            await self._application(mounted_apart(scope), receive, marked)
        finally:
            current_request.reset(token)
