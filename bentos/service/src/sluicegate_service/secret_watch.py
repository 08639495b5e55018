"""Shows on /metrics whether the feedback Secret can be used, without a request that would find out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sluicegate_service.environment import SECRET_METRIC
from sluicegate_service.keys import KeyFileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluicegate_service.keys import KeyFiles

PERIOD_SECONDS: Final = 5.0


def usable(keys: KeyFiles) -> bool | None:
    """Whether the Secret can be used; None where there is none, and feedback is off."""
    try:
        return None if keys.current() is None else True
    except KeyFileError:
        return False


def secret_gauge() -> Callable[[bool], None]:
    """Registers the gauge; what it returns sets it."""
    from prometheus_client import Gauge  # noqa: PLC0415 - reads the environment when imported

    gauge = Gauge(
        SECRET_METRIC,
        "1 if the Secret of serving.feedback.secretRef has its keys, else 0.",
        multiprocess_mode="livemostrecent",
    )
    return lambda good: gauge.set(int(good))


async def watch_secret(keys: KeyFiles, show: Callable[[bool], None]) -> None:
    """Show for ever whether the Secret can be used; nothing while feedback is off."""
    while True:
        found = usable(keys)
        if found is not None:
            show(found)
        await asyncio.sleep(PERIOD_SECONDS)
