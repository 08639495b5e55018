"""What readers may write as themselves: signatures of reviews, and requests of products."""

import time
from dataclasses import dataclass
from typing import Final

from sluicegate.kube.transport import Transport
from sluicegate.web.acting import Acting
from sluicegate.web.signing import Signing


@dataclass(frozen=True, slots=True)
class Writes:
    """What an installation lets readers write; nothing by default."""

    signing: bool = False
    acting: bool = False


@dataclass(frozen=True, slots=True)
class Writers:
    """Senders of what readers write; None for what they may not."""

    signing: Signing | None = None
    acting: Acting | None = None


READING: Final = Writes()
NO_WRITERS: Final = Writers()


def writers_of(transport: Transport, writes: Writes) -> Writers:
    """Return the senders; the account of `transport` must be allowed to impersonate readers for them."""
    return Writers(
        signing=Signing(transport, time.time) if writes.signing else None,
        acting=Acting(transport, time.time, time.monotonic) if writes.acting else None,
    )
