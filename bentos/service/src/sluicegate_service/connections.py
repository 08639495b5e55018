"""Deadline for the header of a request: late connections are closed.

uvicorn limits the idle time of a connection after an answer, but not before the first request or
within a header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h11
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEADER_SECONDS: Final = 60.0
"""Seconds for a header, as long as for a body; a gateway that connects in advance reconnects."""


class HeaderDeadline(H11Protocol):
    """uvicorn's protocol with a deadline for each header."""

    header_seconds = HEADER_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: Any) -> None:
        """Start the deadline of the first header."""
        super().connection_made(transport)
        self._wait_for_header()

    @override
    def data_received(self, data: bytes) -> None:
        """Stop the deadline when a header is complete; start it within the next one."""
        super().data_received(data)
        self._see_header()

    @override
    def on_response_complete(self) -> None:
        """Handle a next header that arrived with the last request."""
        super().on_response_complete()
        self._see_header()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline."""
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def waits_for_header(self) -> bool:
        """Whether the connection is closed unless a header becomes complete."""
        return self._deadline is not None

    def _see_header(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif not self.waits_for_header and self.conn.trailing_data[0]:
            self._wait_for_header()

    def _wait_for_header(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
