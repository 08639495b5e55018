"""A metric that shows whether the feedback Secret is valid, without a request that needs it."""

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
    """Return whether the Secret is valid; None if there is none, and feedback is off."""
    try:
        return None if keys.current() is None else True
    except KeyFileError:
        return False


def secret_gauge() -> Callable[[bool], None]:
    """Register the gauge; return the function that sets it."""
    from prometheus_client import Gauge  # noqa: PLC0415 - reads the environment when imported

    gauge = Gauge(
        SECRET_METRIC,
        "1 if the Secret of serving.feedback.secretRef has its keys, else 0.",
        multiprocess_mode="livemostrecent",
    )
    return lambda good: gauge.set(int(good))


async def watch_secret(keys: KeyFiles, show: Callable[[bool], None]) -> None:
    """Show until cancelled whether the Secret is valid; nothing while feedback is off."""
    while True:
        is_usable = usable(keys)
        if is_usable is not None:
            show(is_usable)
        await asyncio.sleep(PERIOD_SECONDS)
