"""Chat and mail by Apprise, which supports more than a hundred services."""

import asyncio
import importlib
import logging
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.errors import MissingExtra
from sluicegate.notify.catalogue import Urgency
from sluicegate.notify.configuration import AppriseSink
from sluicegate.notify.delivery import Undelivered
from sluicegate.notify.message_batches import Message
from sluicegate.notify.wording import wording_of

TYPES: Final = {
    Urgency.NEEDS_PERSON: "warning",
    Urgency.BAD_NEWS: "failure",
    Urgency.GOOD_NEWS: "success",
    Urgency.INFORMATION: "info",
}


def load_library() -> Any:
    """Import the library; MissingExtra if it isn't installed."""
    try:
        apprise_library = importlib.import_module("apprise")
    except ImportError as error:
        raise MissingExtra("chat and mail need Apprise: install sluicegate[notify]") from error
    # Its log lines contain addresses with secrets.
    logging.getLogger("apprise").disabled = True
    return apprise_library


@dataclass(frozen=True, slots=True)
class AppriseReceiver:
    """Sender to the services of the sink's file; all of them have to accept a message."""

    sink: AppriseSink
    library: Any
    cluster: str = ""
    portfolio: str = ""

    async def send(self, message: Message, number: int) -> None:  # noqa: ARG002 - the port's
        """Send a message to each service; raise Undelivered unless all have accepted it."""
        # The library blocks, so it runs in a thread; it has its own timeouts.
        await asyncio.get_running_loop().run_in_executor(None, self._send, message)

    def _send(self, message: Message) -> None:
        try:
            lines = self.sink.url_file.read_text(encoding="utf-8").split()
        except OSError as error:
            text = f"the file of the addresses can't be read: {type(error).__name__}"
            raise Undelivered(text, cause="configuration") from error
        services = self.library.Apprise()
        if not lines or not all(services.add(line) for line in lines):
            raise Undelivered("an address is none that Apprise knows", cause="configuration")
        words = wording_of(message, cluster=self.cluster, portfolio=self.portfolio)
        is_accepted = services.notify(
            title=words.title, body=words.body, notify_type=TYPES[words.urgency],
            body_format="text", interpret_escapes=False,
        )  # fmt: skip
        if not is_accepted:
            raise Undelivered("the service did not accept it", cause="service")
