"""What goes out, received by real servers on the loopback: HTTP, and mail."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator

import sluicegate.notify
from sluicegate.notify.catalogue import TEST_TYPE, Kind
from sluicegate.notify.cloud_events import schema_of
from sluicegate.notify.configuration import AppriseSink, CloudEventsSink
from sluicegate.notify.delivery import Undelivered
from sluicegate.notify.message_batches import Message, digest_message, group_message, single_message
from sluicegate.notify.sinks.apprise import AppriseReceiver, load_library
from sluicegate.notify.sinks.http import AiohttpClient, CloudEventsReceiver
from sluicegate.notify.transitions import Origin, Transition

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise's mail
NOW = 1_700_000_000
SCHEMAS = Path(sluicegate.notify.__file__).parent / "schemas"
DECISION = {
    "type": "Promote", "reason": "CanaryNotWorse", "message": "32 bad of 4,000 ≤ 40",
    "decisionTime": "2023-11-14T22:13:20Z",
}  # fmt: skip


def transition(number=0, kind=Kind.PROMOTED, **more):
    origin = Origin("catalog", f"search-{number}", "u", "group:default/é", "High", ("FR", "AT"))
    kept = {"reason": "CanaryNotWorse", "message": "was „besser“", "version": "v15", **more}
    return Transition(f"{number:016x}", kind, origin, NOW, **kept)


MESSAGES = {
    "one product": single_message(transition(decision=DECISION, folded=2), NOW),
    "several products": group_message([transition(number) for number in range(3)], NOW),
    "a digest": digest_message(
        "daily", "2026-12-01",
        {"day": "2026-12-01", "total": 2, "needsPerson": 1, "products": {"Stalled": ["a/b"]}},
        sinks=("bus",), now=NOW,
    ),
    "a test": Message("test-1", TEST_TYPE, NOW, NOW),
}  # fmt: skip


@dataclass
class Bus:
    """An HTTP server that keeps what it is posted."""

    answer: web.Response | None = None
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/secret-path"
        self.client = AiohttpClient()
        self._keeping = asyncio.ensure_future(self.client.keep())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_):
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        await self._runner.cleanup()

    async def _take(self, request):
        self.got.append((dict(request.headers), await request.read()))
        return self.answer or web.Response(status=202)

    def receiver(self, **more):
        sink = CloudEventsSink.model_validate({"kind": "CloudEvents", "url": self.url, **more})
        return CloudEventsReceiver(sink, self.client, time.time, "production")


@pytest.mark.parametrize("mode", ["Structured", "Binary"])
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
async def test_a_cloud_event_is_valid_for_the_sdk_and_its_schema(mode, message):
    from cloudevents.core.bindings.http import HTTPMessage, from_http
    from cloudevents.core.formats.json import JSONFormat

    async with Bus() as bus:
        await bus.receiver(mode=mode).send(message, 7)
    [(headers, body)] = bus.got
    event = from_http(HTTPMessage(headers, body), JSONFormat())
    assert event.get_id() == message.id
    assert event.get_type() == message.type
    assert event.get_source().startswith("//production/apis/sluicegate.dev/v1alpha1/")
    assert event.get_extension("sequence") == "000000000007"
    name = schema_of(message)
    assert event.get_dataschema().endswith(f"/{name}")
    data: Any = event.get_data()
    schema = json.loads((SCHEMAS / name).read_text())
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(data)
    if message is MESSAGES["one product"]:
        assert event.get_subject() == "catalog/search-0"
        assert data["decision"] == DECISION
        assert data["message"] == "was „besser“"


def test_the_event_schemas_are_valid_and_refuse_malformed_events():
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        assert schema["$id"].endswith(path.name)
        assert not Draft202012Validator(schema).is_valid({"title": "x"})


@pytest.mark.parametrize(
    ("status", "headers", "cause", "final", "seconds"),
    [
        (500, {}, "http_5xx", False, 0),
        (503, {"Retry-After": "17"}, "http_5xx", False, 17),
        (429, {"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}, "http_4xx", False, 3600),
        (429, {"Retry-After": "soon"}, "http_4xx", False, 0),
        (401, {}, "http_4xx", False, 0),
        (422, {}, "http_4xx", True, 0),
        (302, {"Location": "http://127.0.0.1:1/"}, "http_3xx", False, 0),
    ],
)
async def test_the_response_of_a_receiver_decides_on_the_next_attempt(
    status, headers, cause, final, seconds
):
    async with Bus(web.Response(status=status, headers=headers)) as bus:
        with pytest.raises(Undelivered) as refused:
            await bus.receiver().send(MESSAGES["a test"], 0)
    assert (refused.value.cause, refused.value.final) == (cause, final)
    assert refused.value.retry_after >= seconds
    assert "secret-path" not in str(refused.value)
    assert len(bus.got) == 1, "a redirect isn't followed"


async def test_a_token_and_an_address_are_read_at_each_attempt_and_never_logged(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    token, url = tmp_path / "token", tmp_path / "url"
    async with Bus() as bus:
        url.write_text(f"{bus.url}\n")
        more = {"url": None, "urlFile": str(url), "tokenFile": str(token)}
        with pytest.raises(Undelivered, match="a file of the sink"):
            await bus.receiver(**more).send(MESSAGES["a test"], 0)
        for word in ("first-token", "second-token"):
            token.write_text(word)
            await bus.receiver(**more).send(MESSAGES["a test"], 0)
        url.write_text("http://127.0.0.1:1/secret-path")
        with pytest.raises(Undelivered) as refused:
            await bus.receiver(**more).send(MESSAGES["a test"], 0)
    assert [one[0]["Authorization"] for one in bus.got] == [
        "Bearer first-token", "Bearer second-token",
    ]  # fmt: skip
    said = caplog.text + repr(refused.value)
    assert "token" not in said.replace("token_file", "")
    assert "secret-path" not in said


def test_a_mail_arrives_with_its_text(tmp_path):
    """By Apprise, over SMTP to a real server; nothing of the words becomes a header."""
    from aiosmtpd.controller import Controller

    got = []

    class Keep:
        async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the library's name
            got.append(envelope.content)
            return "250 OK"

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mail = Controller(Keep(), hostname="127.0.0.1", port=port)
    mail.start()
    try:
        (tmp_path / "mail").write_text(
            f"mailto://127.0.0.1:{port}/?to=dpm@example.com&from=operator@example.com&mode=insecure"
        )
        sink = AppriseSink(kind="Apprise", url_file=tmp_path / "mail")
        receiver = AppriseReceiver(sink, load_library(), "production")
        message = single_message(
            transition(message="line\r\nBcc: all@example.com <b>bold</b>"), NOW
        )
        asyncio.run(receiver.send(message, 0))
    finally:
        mail.stop()
    letter = message_from_bytes(got[0], policy=policy.default)
    assert letter["Bcc"] is None
    assert letter["Subject"] == "[good] catalog/search-0 has promoted v15"
    body = letter.get_body(("html", "plain")).get_content()
    assert "<b>bold" not in body
    assert "CanaryNotWorse" in body


@pytest.mark.parametrize("text", ["", "nonsense", "slack://"])
def test_an_address_unknown_to_apprise_is_reported_as_a_configuration_error(text, tmp_path):
    (tmp_path / "chat").write_text(text)
    sink = AppriseSink(kind="Apprise", url_file=tmp_path / "chat")
    with pytest.raises(Undelivered) as refused:
        AppriseReceiver(sink, load_library())._send(MESSAGES["a test"])
    assert refused.value.cause == "configuration"
