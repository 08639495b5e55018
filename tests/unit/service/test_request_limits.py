"""What a request may take before the service sees it, with requests that are only messages."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate_service.keys import KeyFiles
from sluicegate_service.request_limits import FeedbackRoute, Limits, RequestLimits

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(body_bytes=1000, feedback_bytes=100, seconds=60, idle_seconds=30)
BEARER = b"secret-of-the-label-job"


class Service:
    """An application that reads its body whole, and works until it is let go."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done", "more_body": False})


class Caller:
    """One request; its parts are sent when they are asked for."""

    def __init__(self, *parts: bytes, path: str = "/predict", **headers: str) -> None:
        self.parts = list(parts)
        self.asked = 0
        self.sent: list[Any] = []
        self.stalls = False
        fields = [
            (name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()
        ]
        self.scope = {"type": "http", "method": "POST", "path": path, "headers": fields}

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        if not self.parts:
            if self.stalls:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}
        part = self.parts.pop(0)
        more = self.stalls or bool(self.parts)
        return {"type": "http.request", "body": part, "more_body": more}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def ask(self, app: RequestLimits) -> int | None:
        await app(self.scope, self.receive, self.send)
        return self.sent[0]["status"] if self.sent else None

    @property
    def error(self) -> str:
        text = b"".join(message.get("body", b"") for message in self.sent[1:])
        return str(json.loads(text)["error"])


async def others_run() -> None:
    """Run all other tasks until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "hmac").write_bytes(b"k" * 32)
    (tmp_path / "bearer").write_bytes(BEARER)
    return tmp_path


def limited(service: Service, secret: Path | None = None, limits: Limits = LIMITS) -> RequestLimits:
    route = FeedbackRoute("/feedback", KeyFiles(secret)) if secret else None
    return RequestLimits(service, limits, route, on_refused=lambda _reason: None)


@pytest.mark.parametrize("parts", [[b"x" * 1000], [b"x" * 400, b"", b"x" * 600], [b""]])
async def test_a_request_body_within_the_limit_is_passed_completely(
    service: Service, parts: list[bytes]
):
    app = limited(service)
    assert await Caller(*parts).ask(app) == 200
    assert service.bodies == [b"".join(parts)]
    assert app.bodies.held == 0


@pytest.mark.parametrize(
    "caller",
    [
        lambda: Caller(b"x" * 1001, content_length="1001"),
        lambda: Caller(content_length="9" * 30),
        lambda: Caller(*[b"x" * 100] * 11),
        lambda: Caller(*[b"x" * 100] * 11, content_length="7"),
        lambda: Caller(*[b"x" * 100] * 11, content_length="\u00b2"),
        lambda: Caller(*[b"x" * 100] * 11, content_encoding="gzip", transfer_encoding="chunked"),
        lambda: Caller(*[b"x" * 100] * 11, content_type="multipart/form-data; boundary=x"),
    ],
    ids=["told", "told absurdly", "in parts", "of a false length", "no number", "packed", "a form"],
)
async def test_a_request_body_beyond_the_limit_is_refused_with_413_before_the_service(
    service: Service, caller: Any
):
    asks, app = caller(), limited(service)
    assert await asks.ask(app) == 413
    assert "larger than 1000 bytes" in asks.error
    assert "serving.maxRequestBytes" in asks.error
    assert service.bodies == []
    assert app.bodies.held == 0


async def test_a_content_length_beyond_the_limit_is_refused_before_the_body_is_read(
    service: Service,
):
    asks = Caller(b"x" * 2000, content_length="2000")
    answered_at = []
    original = asks.send

    async def send(message: Any) -> None:
        answered_at.append(asks.asked)
        await original(message)

    await limited(service)(asks.scope, asks.receive, send)
    assert answered_at[:2] == [0, 0]


@pytest.mark.parametrize(
    ("authorization", "desired"),
    [(None, 401), ("Bearer wrong-wrong-wrong", 401), (f"Bearer {BEARER.decode()}", 200)],
)
async def test_feedback_checks_the_bearer_token_before_reading_the_body(
    service: Service, secret: Path, authorization: str | None, desired: int
):
    headers = {"authorization": authorization} if authorization else {}
    asks = Caller(b"{}", path="/feedback", **headers)
    assert await asks.ask(limited(service, secret)) == desired
    assert len(service.bodies) == (1 if desired == 200 else 0)


async def test_feedback_has_a_limit_of_its_own(service: Service, secret: Path):
    asks = Caller(b"x" * 101, path="/feedback", authorization=f"Bearer {BEARER.decode()}")
    assert await asks.ask(limited(service, secret)) == 413
    assert "larger than 100 bytes" in asks.error


async def test_an_unusable_feedback_secret_gives_503_without_details(
    service: Service, secret: Path
):
    (secret / "bearer").write_bytes(b"short")
    asks = Caller(b"{}", path="/feedback")
    assert await asks.ask(limited(service, secret)) == 503
    assert "serving.feedback.secretRef" in asks.error
    assert str(secret) not in asks.error
    assert "5 bytes" not in asks.error
    assert await Caller(b"{}").ask(limited(service, secret)) == 200, "predictions go on"


async def test_feedback_without_a_secret_responds_that_it_is_disabled(
    service: Service, tmp_path: Path
):
    asks = Caller(b"{}", path="/feedback")
    assert await asks.ask(limited(service, tmp_path / "absent")) == 200
    assert service.bodies == [b"{}"]


@pytest.mark.parametrize("limits", [Limits(idle_seconds=0.01), Limits(seconds=0.01)])
async def test_a_request_body_that_stops_arriving_gives_408(
    service: Service, limits: Limits, monkeypatch: Any
):
    monkeypatch.setattr("sluicegate_service.request_limits.LINGER_SECONDS", 0.01)
    asks, app = Caller(b"half"), limited(service, limits=limits)
    asks.stalls = True
    assert await asks.ask(app) == 408
    assert service.bodies == []
    assert app.bodies.held == 0


async def test_a_disconnected_caller_frees_its_buffered_body(service: Service):
    app = limited(service)
    asks = Caller(b"half", b"")
    asks.parts = [b"half"]
    asks.stalls = True
    original = asks.receive

    async def receive() -> dict[str, Any]:
        return await original() if asks.parts else {"type": "http.disconnect"}

    await app(asks.scope, receive, asks.send)
    assert (asks.sent, service.bodies, app.bodies.held) == ([], [], 0)


@pytest.mark.slow
async def test_request_bodies_beyond_the_total_buffer_limit_give_503(service: Service):
    app = limited(service, limits=Limits(body_bytes=100_000, feedback_bytes=100))
    service.may_answer.clear()
    large = b"x" * 100_000
    told = {"content_length": "100000"}
    held = [asyncio.ensure_future(Caller(large, **told).ask(app)) for _ in range(4)]
    await others_run()
    refused = Caller(large, **told)
    assert await refused.ask(app) == 503
    assert "try again" in refused.error
    assert (b"retry-after", b"1") in refused.sent[0]["headers"]
    assert len(service.bodies) <= 1, "the others wait for their turn"
    small = asyncio.ensure_future(Caller(b"small").ask(app))
    await others_run()
    assert b"small" in service.bodies
    service.may_answer.set()
    assert await asyncio.gather(*held, small) == [200] * 5
    assert app.bodies.held == 0


async def test_slow_senders_do_not_block_other_senders(service: Service, monkeypatch: Any):
    monkeypatch.setattr("sluicegate_service.bodies.SLOW_SECONDS", 0)
    monkeypatch.setattr("sluicegate_service.request_limits.LINGER_SECONDS", 0)
    app = limited(service, limits=Limits(body_bytes=100_000, feedback_bytes=100))
    slow = [Caller(b"x" * 10, content_length="100000") for _ in range(4)]
    for one in slow:
        one.stalls = True
    waiting = [asyncio.ensure_future(one.ask(app)) for one in slow]
    await others_run()
    assert await Caller(b"x" * 100_000, content_length="100000").ask(app) == 200
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [one.result() for one in done] == [503]
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    assert app.bodies.held == 0


async def test_a_refused_body_occupies_no_buffer_while_its_response_is_sent(
    service: Service, monkeypatch: Any
):
    monkeypatch.setattr("sluicegate_service.bodies.SLOW_SECONDS", 0)
    app = limited(service, limits=Limits(body_bytes=100_000, feedback_bytes=100))
    large = [Caller(b"x" * 99_999, b"x" * 2) for _ in range(4)]
    for one in large:
        one.stalls = True
    waiting = [asyncio.ensure_future(one.ask(app)) for one in large]
    await others_run()
    assert [one.sent[0]["status"] for one in large] == [413] * 4
    assert app.bodies.held == 0
    assert await Caller(b"x" * 100_000).ask(app) == 200
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert app.bodies.held == 0


@pytest.mark.parametrize("text", ["0", "-1", "10Mi", "", "1e6", str(2**31)])
def test_a_malformed_body_limit_is_refused_by_its_variable(text: str):
    with pytest.raises(ValueError, match="SLUICEGATE_MAX_REQUEST_BYTES must be 1 to"):
        Limits.from_environment({"SLUICEGATE_MAX_REQUEST_BYTES": text})


def test_the_default_body_limit_is_ten_mebibytes_and_one_for_feedback():
    limits = Limits.from_environment({})
    assert (limits.body_bytes, limits.feedback_bytes) == (10 * 2**20, 2**20)
