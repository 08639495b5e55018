"""The loop that posts open states to an Alertmanager repeatedly."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Final

from sluicegate.notify import metrics
from sluicegate.notify.alerts import (
    HOLD_SECONDS,
    POST_SECONDS,
    Alert,
    Labels,
    ended_alert,
    identity,
)
from sluicegate.notify.configuration import AlertmanagerSink
from sluicegate.notify.delivery import Undelivered
from sluicegate.notify.sinks.http import Http, deliver_message
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.tasks import set_within

logger = logging.getLogger(__name__)

PATH: Final = "/api/v2/alerts"
RETRY_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 2.0
"""Pause after a change, so that several changes are posted together."""


class AlertmanagerLoop:
    """Loop of one Alertmanager; `states` returns its open states."""

    def __init__(
        self,
        name: str,
        sink: AlertmanagerSink,
        http: Http,
        *,
        states: Callable[[], Sequence[Alert]],
        wall_clock: Clock,
    ) -> None:
        """Store the settings; nothing is posted yet."""
        self._name = name
        self._sink = sink
        self._http = http
        self._states = states
        self._wall = wall_clock
        self._ended: dict[Labels, tuple[float, Alert]] = {}
        """When each ended; it is posted as ended as long as the last post of it lasts."""
        self._open: dict[Labels, Alert] = {}
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            self.changed.clear()
            pause_seconds = POST_SECONDS if await self.post() else RETRY_SECONDS
            if await set_within(self.changed, pause_seconds):
                await asyncio.sleep(SETTLE_SECONDS)

    async def post(self) -> bool:
        """Post open states and those that have just ended; return whether they were accepted."""
        now = self._wall()
        open_alerts = {identity(alert): alert for alert in self._states()}
        for labels, alert in self._open.items():
            if labels not in open_alerts:
                self._ended[labels] = now, ended_alert(alert, now)
        self._open = open_alerts
        self._ended = {
            labels: (end_time, alert)
            for labels, (end_time, alert) in self._ended.items()
            if labels not in open_alerts and now - end_time < HOLD_SECONDS
        }
        metrics.ALERTS.labels(self._name).set(len(open_alerts))
        alerts = [*open_alerts.values(), *(alert for _, alert in self._ended.values())]
        if not alerts:
            return True
        body = json.dumps(alerts).encode()
        headers = {"Content-Type": "application/json"}
        try:
            await deliver_message(
                self._http, self._sink, headers, body, wall_clock=self._wall, path=PATH
            )
        except Undelivered as error:
            metrics.FAILED_ATTEMPTS.labels(self._name, error.cause).inc()
            logger.warning("sink %s did not accept the alerts: %s", self._name, error.cause)
            return False
        return True
