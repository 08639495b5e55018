"""Previews: which requests they are, what their answers have, and that nothing counts them."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate_service.callers import CallerCounts
from sluicegate_service.environment import PREVIEW
from sluicegate_service.mirroring import current_request
from sluicegate_service.previews import HEADER, Previews, has_preview
from sluicegate_service.token_headers import AnswerSettings, TokensInHeaders
from sluicegate_service.version_marks import UpstreamVersion

OWN = UpstreamVersion("shop/pricing", "v2", "abc")
MARK = (b"sluicegate-version", b"shop/pricing v2 abc")
PATHS = frozenset({"/price"})


class Service:
    """A service's API, which notes what it sees of each request."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.counts_for_nothing: list[bool] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        self.counts_for_nothing.append(current_request.get() is not None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


async def answered(application: Any, path: str = "/price", **headers: str) -> list[Any]:
    """The headers of the answer to a request."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    await application({"type": "http", "path": path, "headers": fields}, receive, send)
    return list(sent[0]["headers"])


async def test_a_preview_is_answered_with_the_mark_under_a_path_that_no_indicator_counts():
    service = Service()
    headers = await answered(Previews(service, PATHS, OWN), **{HEADER: "shop/pricing"})
    assert headers == [MARK]
    assert service.paths == ["/-/mirrored/price"]
    assert service.counts_for_nothing == [True]
    assert current_request.get() is None


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/price", {}), ("/price", {HEADER: "shop/vans"}), ("/feedback", {HEADER: "shop/pricing"})],
)
async def test_a_request_for_another_product_or_feedback_is_no_preview(path, headers):
    service = Service()
    assert await answered(Previews(service, PATHS, OWN), path, **headers) == []
    assert service.paths == [path]
    assert service.counts_for_nothing == [False]


async def test_a_preview_is_not_counted_by_caller():
    class NoCounter:
        def labels(self, **_: str) -> NoCounter:
            return self

        def inc(self) -> None:
            pytest.fail("a preview is counted")

    counted = CallerCounts(Service(), frozenset({"a/b"}), counted=PATHS, counter=NoCounter())
    await answered(Previews(counted, PATHS, OWN), **{HEADER: "shop/pricing"})


async def test_the_answer_to_a_preview_has_no_token_in_its_header():
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"1"})

    signed = TokensInHeaders(application, PATHS, AnswerSettings(), lambda *_: "a-token")
    assert (b"sluicegate-token", b"a-token") in await answered(Previews(signed, PATHS, OWN))
    headers = await answered(Previews(signed, PATHS, OWN), **{HEADER: "shop/pricing"})
    assert b"sluicegate-token" not in dict(headers)


def test_pods_have_previews_only_by_the_variable_of_the_operator():
    assert has_preview({PREVIEW: "true"})
    assert not has_preview({})
