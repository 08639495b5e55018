"""Mirrored requests: what the candidate is asked, what tokens carry, and that no answer suffers.

The candidate is the same application behind a real server on loopback.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry

from sluicegate_service.feedback import Feedback, Label, Score, Settings
from sluicegate_service.keys import KeyFiles
from sluicegate_service.mirroring import (
    HEADER,
    LARGEST_BYTES,
    PAUSE_SECONDS,
    Mirror,
    MirroredRequests,
    Received,
    Result,
    Sent,
    current_request,
)
from sluicegate_service.outcomes import Outcome, OutcomeCounters
from sluicegate_service.tokens import ShadowPrediction
from tests.support.processes.running import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

Body = dict[str, Any]
PATHS = frozenset({"/price"})
GENEROUS = 30.0
"""Seconds that a candidate has on a busy machine, where a test isn't about time."""


class Pod:
    """A pod of one version: its answer is the request's number times a factor, and a token."""

    def __init__(self, directory: Path, version: str, factor: int, **mirror: Any) -> None:
        self.results: Counter[Result] = Counter()
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.now = 0.0
        self.factor = factor
        self.before: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        identity = Settings("shop", "pricing", version, f"{version}-revision")
        keys = KeyFiles(directory)
        self.registry = CollectorRegistry()
        counters = OutcomeCounters.create(
            version=version, revision=identity.revision, registry=self.registry
        )
        self.feedback = Feedback(identity, keys, counters, score=_score)
        options = {"url": "http://127.0.0.1:1", "share": 1.0, "seconds": GENEROUS, "most": 4}
        self.application = MirroredRequests(
            self._answer,
            Mirror(**options | mirror),
            PATHS,
            identity,
            keys,
            lambda result: self.results.update([result]),
            draw=lambda: 0.5,
            clock=lambda: self.now,
        )

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer like a service's API, as `ProductService.tokens` does without BentoML."""
        self.paths.append(scope["path"])
        self.headers.append({key.decode(): value.decode() for key, value in scope["headers"]})
        body = (await receive())["body"]
        await self.before()
        values = [self.factor * number for number in json.loads(body)]
        about = current_request.get()
        tokens: list[str | None] = [None] * len(values)
        if isinstance(about, Received):
            about.predictions = values
        else:
            count = len(values)
            shadows = await about.shadows(count) if isinstance(about, Sent) else [None] * count
            tokens = [
                self.feedback.token(value, shadow=shadow)
                for value, shadow in zip(values, shadows, strict=True)
            ]
        text = json.dumps({"values": values, "tokens": tokens}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text})

    async def ask(
        self, *numbers: int, path: str = "/price", padding: int = 0, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Return status and body of the answer to a user."""
        body, sent = json.dumps(numbers).encode() + b" " * padding, []
        fields = [(key.encode(), value.encode()) for key, value in headers.items()]
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
            "query_string": b"all=1", "headers": fields, "root_path": "",
        }  # fmt: skip

        async def receive() -> Body:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Body) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    def shadows(self, answer: Body) -> list[Any]:
        """Return the other version's predictions, read from the tokens of an answer."""
        signer = self.feedback._signer(self.feedback.keys.signing())
        read = [signer.read(token, now=self.feedback.clock()) for token in answer["tokens"]]
        return [one.shadow and (one.shadow.value, one.shadow.version) for one in read]

    def pairs(self) -> dict[tuple[str, str], float]:
        """Return labelled pairs by outcome of the answer and of the shadow."""
        return {
            (sample.labels["outcome"], sample.labels["shadow_outcome"]): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "sluicegate_predictions_paired_total"
        }


def _score(prediction: Any, truth: Any) -> Score:
    return Score(Outcome.of(correct=prediction == truth))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "hmac").write_bytes(b"k" * 32)
    (tmp_path / "bearer").write_bytes(b"b" * 32)
    return tmp_path


@asynccontextmanager
async def served(pod: Pod) -> AsyncIterator[str]:
    """Yield the URL of a pod's API."""
    config = uvicorn.Config(pod.application, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))  # requests wait in it for the server
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def test_a_token_has_the_predictions_of_both_versions_for_a_mirrored_request(secret):
    candidate = Pod(secret, "v2", 20)
    async with served(candidate) as url:
        stable = Pod(secret, "v1", 10, url=url)
        status, answer = await stable.ask(1, 2, **{"x-market": "FR", "connection": "close"})
    assert (status, answer["values"]) == (200, [10, 20]), "the user gets stable's answer"
    assert stable.shadows(answer) == [(20, "v2"), (40, "v2")]
    assert candidate.paths == ["/-/mirrored/price"], "no indicator counts this path"
    assert candidate.headers[0]["x-market"] == "FR"
    assert stable.results == {Result.ANSWERED: 1}
    answered = stable.feedback.receive(
        [
            Label(token=token, truth=truth)
            for token, truth in zip(answer["tokens"], (10, 40), strict=True)
        ],
        f"Bearer {'b' * 32}",
    )
    assert answered.body["counted"] == 2
    assert stable.pairs() == {("correct", "wrong"): 1, ("wrong", "correct"): 1}


async def test_a_token_hides_the_prediction_of_the_candidate(secret):
    candidate = Pod(secret, "v2", 987_654_321)
    async with served(candidate) as url:
        stable = Pod(secret, "v1", 123_456_789, url=url)
        _, answer = await stable.ask(1)
    payload = answer["tokens"][0].partition(".")[0]
    text = base64.urlsafe_b64decode(payload + "==").decode()
    assert "123456789" in text
    sealed = base64.urlsafe_b64decode(json.loads(text)["s"])
    assert b"987654321" not in sealed
    assert b"v2" not in sealed


async def test_a_failed_or_late_mirrored_request_does_not_affect_the_response(secret):
    candidate = Pod(secret, "v2", 20)

    async def breaks() -> None:
        raise RuntimeError("a bug of the candidate")

    async with served(candidate) as url:
        stable = Pod(secret, "v1", 10, url=url)
        candidate.before = breaks
        assert stable.shadows((await stable.ask(1))[1]) == [None]
        hung = asyncio.Event()
        candidate.before = hung.wait
        late = Pod(secret, "v1", 10, url=url, seconds=0.05)
        assert late.shadows((await late.ask(1))[1]) == [None]
        hung.set()
    assert stable.results == {Result.FAILED: 1}
    assert late.results == {Result.LATE: 1}


async def test_mirrored_predictions_of_another_count_are_discarded():
    async def one() -> list[ShadowPrediction]:
        return [ShadowPrediction(20, "v2")]

    assert list(await Sent(asyncio.ensure_future(one())).shadows(2)) == [None, None]


async def test_without_a_candidate_a_pod_polls_for_one_rarely(secret):
    stable = Pod(secret, "v1", 10, url=f"http://127.0.0.1:{free_port()}")
    for _ in range(3):
        assert stable.shadows((await stable.ask(1))[1]) == [None]
    assert stable.results == {Result.ABSENT: 1}
    stable.now += PAUSE_SECONDS
    await stable.ask(1)
    assert stable.results == {Result.ABSENT: 2}


async def test_a_version_does_not_mirror_to_itself(secret):
    """The candidate's own pods have the same settings, and its Service leads to them."""
    candidate = Pod(secret, "v2", 20)
    async with served(candidate) as url:
        same = Pod(secret, "v2", 20, url=url)
        await same.ask(1)
    assert same.results == {Result.ABSENT: 1}
    assert not candidate.paths


async def test_concurrent_mirrored_requests_are_limited(secret):
    candidate, arrived, free = Pod(secret, "v2", 20), asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        arrived.set()
        await free.wait()

    candidate.before = hold
    async with served(candidate) as url:
        stable = Pod(secret, "v1", 10, url=url, most=1)
        first = asyncio.create_task(stable.ask(1))
        await arrived.wait()
        assert stable.shadows((await stable.ask(2))[1]) == [None]
        free.set()
        assert stable.shadows((await first)[1]) == [(20, "v2")]
    assert stable.results == {Result.BUSY: 1, Result.ANSWERED: 1}


async def test_only_the_configured_share_is_mirrored_and_no_large_or_unsigned_request(
    secret, tmp_path
):
    async with served(Pod(secret, "v2", 20)) as url:
        for share, padding in ((0.5, 0), (1.0, LARGEST_BYTES)):  # the number that is drawn is 0.5
            stable = Pod(secret, "v1", 10, url=url, share=share)
            await stable.ask(1, padding=padding)
            assert not stable.results
        unsigned = Pod(tmp_path / "none", "v1", 10, url=url)
        assert (await unsigned.ask(1))[1]["tokens"] == [None]
        assert not unsigned.results


async def test_a_mirrored_request_with_another_secret_is_refused(secret, tmp_path):
    """The route leads users to the same port."""
    other = tmp_path / "other"
    other.mkdir()
    for name in ("hmac", "bearer"):
        (other / name).write_bytes(b"x" * 32)
    candidate = Pod(secret, "v2", 20)
    assert (await candidate.ask(1, **{HEADER: "é"}))[0] == 403
    async with served(candidate) as url:
        stranger = Pod(other, "v1", 10, url=url)
        await stranger.ask(1)
        assert stranger.results == {Result.FAILED: 1}
    assert not candidate.paths


async def test_the_mirror_header_applies_to_its_request_only(secret):
    candidate, seen = Pod(secret, "v2", 20), Pod(secret, "v2", 20)
    heard: list[str] = []

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        heard.extend(value.decode() for key, value in scope["headers"] if key == HEADER.encode())
        await seen.application(scope, receive, send)

    tapped = Pod(secret, "v2", 20)
    tapped.application = listening  # type: ignore[assignment]
    async with served(tapped) as url:
        await Pod(secret, "v1", 10, url=url).ask(1)
    assert (await candidate.ask(1, **{HEADER: heard[0]}))[0] == 200
    assert (await candidate.ask(2, **{HEADER: heard[0]}))[0] == 403


def test_a_malformed_mirror_variable_is_refused_by_its_name():
    given = {"url": "http://a:3000/", "percent": 10, "timeoutMilliseconds": 50, "maxConcurrency": 2}
    environment = {"SLUICEGATE_MIRROR": json.dumps(given)}
    assert Mirror.from_environment(environment) == Mirror("http://a:3000", 0.1, 0.05, 2)
    assert Mirror.from_environment({}) is None
    with pytest.raises(ValueError, match="SLUICEGATE_MIRROR"):
        Mirror.from_environment({"SLUICEGATE_MIRROR": "[]"})
