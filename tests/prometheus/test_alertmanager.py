"""What a real Alertmanager makes of the states that `sluicegate notify` posts to it."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from cluster.builds import program
from sluicegate.notify.alerts import Alert, alert_of, open_states
from sluicegate.notify.configuration import AlertmanagerSink
from sluicegate.notify.cursor import Cursor, cursor_of
from sluicegate.notify.sinks.alertmanager import AlertmanagerLoop
from sluicegate.notify.sinks.http import AiohttpClient
from sluicegate.notify.transitions import Origin
from tests.support.processes.http_server import answering
from tests.support.processes.running import free_port, running
from tests.support.prometheus.server import is_ready
from tests.support.receivers.changing_product import ChangingProduct
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@dataclass
class Alertmanager:
    """The server; `pages` are the notifications that it has sent."""

    url: str
    pages: list[dict[str, Any]] = field(default_factory=list)

    def api(self, method: str, path: str, **more: Any) -> Any:
        answer = requests.request(method, f"{self.url}/api/v2/{path}", timeout=10, **more)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def groups(self) -> dict[str, dict[str, str]]:
        """Return the state of each product's alert, by alertname."""
        return {
            group["labels"]["alertname"]: {
                alert["labels"]["product"]: alert["status"]["state"] for alert in group["alerts"]
            }
            for group in self.api("GET", "alerts/groups")
        }

    def paged(self) -> list[dict[str, str]]:
        """Return the status of each product's alert, for each notification."""
        return [
            {alert["labels"]["product"]: alert["status"] for alert in page["alerts"]}
            for page in self.pages
        ]

    def tells(self, **expected: str) -> bool:
        """Return whether the last notification has these statuses of products, and perhaps others."""
        return bool(self.pages) and expected.items() <= self.paged()[-1].items()


@pytest.fixture(scope="module")
def alertmanager_program() -> Path:
    return program("alertmanager")


@pytest.fixture
def alertmanager(alertmanager_program: Path, tmp_path: Path) -> Iterator[Alertmanager]:
    port = free_port()
    server = Alertmanager(f"http://127.0.0.1:{port}")

    def page(body: bytes) -> str:
        server.pages.append(json.loads(body))
        return ""

    with answering(page) as pager:
        hook = {"url": f"http://{pager}/", "send_resolved": True}
        config = {
            "route": {"receiver": "pager", "group_by": ["alertname", "namespace"],
                      "group_wait": "100ms", "group_interval": "100ms", "repeat_interval": "1h"},
            "receivers": [{"name": "pager", "webhook_configs": [hook]}],
        }  # fmt: skip
        (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [
            str(alertmanager_program), f"--config.file={tmp_path / 'alertmanager.yml'}",
            f"--storage.path={tmp_path / 'data'}", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with running(command, log=tmp_path / "alertmanager.log"):
            eventually(lambda: is_ready(server.url), seconds=60, what="Alertmanager to be ready")
            yield server


class Messenger:
    """Posts the states of products in one namespace, as its loop does each minute."""

    def __init__(self, url: str, http: AiohttpClient, *names: str, late: int = 0) -> None:
        """Store the settings; `late` is the number of seconds by which its clock is behind."""
        self._clock = lambda: time.time() - late
        self.products = {name: ChangingProduct(int(self._clock())) for name in names}
        self._sink = AlertmanagerSink.model_validate({"kind": "Alertmanager", "url": url})
        self._http = http
        self.restart()

    def restart(self) -> None:
        """Forget what was posted."""
        self._loop = AlertmanagerLoop(
            "on-call", self._sink, self._http, states=self._states, wall_clock=self._clock
        )

    def _states(self) -> list[Alert]:
        return [
            alert_of(open_state, "production", "https://products.example", self._clock())
            for name, told in self.products.items()
            for open_state in open_states(
                cursor_of(told.status, {}, Cursor(), name), told.status, Origin("catalog", name)
            )
        ]

    async def post(self) -> None:
        assert await self._loop.post(), "Alertmanager did not accept it"


@asynccontextmanager
async def degraded(url: str, *names: str, late: int = 0) -> AsyncIterator[Messenger]:
    """Yield a messenger of products that are degraded, which has posted once."""
    client = AiohttpClient()
    keeping = asyncio.ensure_future(client.keep())
    await asyncio.sleep(0)
    messenger = Messenger(url, client, *names, late=late)
    for told in messenger.products.values():
        told.degrade()
    try:
        await messenger.post()
        yield messenger
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


async def test_alerts_of_a_namespace_form_one_group_that_is_sent_once_and_resolved(
    alertmanager,
):
    async with degraded(alertmanager.url, "search", "pricing") as messenger:
        eventually(lambda: alertmanager.tells(search="firing", pricing="firing"))
        assert alertmanager.groups() == {
            "SluicegateDegraded": {"search": "active", "pricing": "active"}
        }
        before = len(alertmanager.pages)
        await messenger.post()
        messenger.restart()
        await messenger.post()
        messenger.products["search"].recover()
        await messenger.post()
        eventually(lambda: alertmanager.tells(search="resolved", pricing="firing"))
        await messenger.post()
        messenger.products["pricing"].recover()
        await messenger.post()
        eventually(lambda: alertmanager.tells(pricing="resolved"))
        await messenger.post()
        assert alertmanager.groups() == {}
    assert [page["status"] for page in alertmanager.pages[before:]] == ["firing", "resolved"]


async def test_an_alert_with_another_reason_belongs_to_the_same_group(alertmanager):
    def reasons() -> set[tuple[str, str]]:
        page = alertmanager.pages[-1]
        return {(alert["labels"]["reason"], alert["status"]) for alert in page["alerts"]}

    async with degraded(alertmanager.url, "search") as messenger:
        eventually(lambda: alertmanager.pages and reasons() == {("ModelDecay", "firing")})
        messenger.products["search"].degrade("TrafficAnomaly")
        await messenger.post()
        eventually(lambda: reasons() >= {("ModelDecay", "resolved"), ("TrafficAnomaly", "firing")})


async def test_a_silence_for_one_product_does_not_silence_others_of_its_group(alertmanager):
    silence = {
        "matchers": [{"name": "product", "value": "search", "isRegex": False, "isEqual": True}],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2999-01-01T00:00:00Z",
        "createdBy": "on-call", "comment": "known",
    }  # fmt: skip
    alertmanager.api("POST", "silences", json=silence)
    async with degraded(alertmanager.url, "search", "pricing"):
        eventually(lambda: alertmanager.tells(pricing="firing"))
        assert alertmanager.groups() == {
            "SluicegateDegraded": {"search": "suppressed", "pricing": "active"}
        }
        assert not any("search" in page for page in alertmanager.paged())


async def test_a_posted_alert_expires_after_its_messenger_stopped(alertmanager):
    # It ends four minutes after the last post. The clock is behind, so ten seconds of them are left.
    async with degraded(alertmanager.url, "search", late=4 * 60 - 10):
        eventually(lambda: alertmanager.tells(search="firing"))
    eventually(lambda: alertmanager.tells(search="resolved"))
    assert alertmanager.groups() == {}
