"""Tokens in headers of answers: which answers are signed, and that no answer changes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sluicegate_service.agreement import Agreement
from sluicegate_service.answers import current_answer
from sluicegate_service.feedback import InvalidTruthError
from sluicegate_service.mirroring import Received, Sent, current_request
from sluicegate_service.outcomes import Outcome
from sluicegate_service.token_headers import (
    MAX_ANSWER_BYTES,
    MAX_HEADER_BYTES,
    AnswerSettings,
    TokensInHeaders,
)
from sluicegate_service.tokens import CallerId, ShadowPrediction

JSON = (b"content-type", b"application/json")


class Api:
    """An application whose answer is given, behind the tokens; `signed` has what was signed."""

    def __init__(self, settings: AnswerSettings | None, *, own: Any = None) -> None:
        self.signed: list[tuple[Any, Any, CallerId | None]] = []
        self.own = own
        self.parts: list[bytes] = []
        self.start: dict[str, Any] = {}
        self.application = TokensInHeaders(
            self._answer, frozenset({"/predict"}), settings, self._sign
        )

    async def ask(
        self, *, path: str = "/predict", body: bytes = b"{}", headers: Any = ()
    ) -> tuple[dict[str, str], bytes]:
        """Send a request; return the answer's headers and body."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        scope = {"type": "http", "path": path, "headers": list(headers)}
        await self.application(scope, receive, send)
        assert [message["type"] for message in sent][:1] == ["http.response.start"]
        found = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
        return found, b"".join(message["body"] for message in sent[1:])

    def answers(self, *parts: bytes, status: int = 200, headers: Any = None) -> None:
        length = (b"content-length", str(sum(map(len, parts))).encode())
        headers = [JSON, length] if headers is None else headers
        self.start = {"type": "http.response.start", "status": status, "headers": headers}
        self.parts = list(parts)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        answer = current_answer.get()
        if self.own is not None:
            self.own(answer)
        await send(self.start)
        for index, part in enumerate(self.parts):
            more = index + 1 < len(self.parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})

    def _sign(self, value: Any, shadow: ShadowPrediction | None) -> str | None:
        answer = current_answer.get()
        assert answer is not None
        if value == "large":
            raise ValueError("the prediction makes a token of 5000 bytes")
        self.signed.append((value, shadow, answer.next_id()))
        return f"token-{len(self.signed)}"


def ask(api: Api, **request: Any) -> tuple[dict[str, str], bytes]:
    return asyncio.run(api.ask(**request))


@pytest.mark.parametrize(
    ("path", "answer", "value"),
    [
        ("label", {"label": "cat", "p": 0.9}, "cat"),
        ("", {"label": "cat"}, {"label": "cat"}),
        ("rows.1.price", {"rows": [{"price": 1}, {"price": 2}]}, 2),
        ("label", {"label": None}, None),
    ],
)
def test_the_prediction_at_the_configured_path_is_signed_and_the_response_is_unchanged(
    path, answer, value
):
    api = Api(AnswerSettings(path))
    text = json.dumps(answer).encode()
    api.answers(text[:5], text[5:])
    headers, body = ask(api)
    assert [each for each, *_ in api.signed] == [value]
    assert (headers["sluicegate-token"], body) == ("token-1", text)
    assert headers["content-length"] == str(len(text))


@pytest.mark.parametrize(
    ("status", "headers", "parts", "path"),
    [
        (400, None, [b'{"label":1}'], "/predict"),
        (200, [(b"content-type", b"text/plain"), (b"content-length", b"1")], [b"1"], "/predict"),
        (200, [JSON], [b'{"label":', b"1}"], "/predict"),
        (200, [JSON, (b"content-length", str(MAX_ANSWER_BYTES + 1).encode())], [b"1"], "/predict"),
        (200, None, [b'{"label":1}'], "/feedback"),
        (200, None, [b'{"other":1}'], "/predict"),
        (200, None, [b"no JSON"], "/predict"),
        (200, None, [b'{"label":"large"}'], "/predict"),
    ],
    ids=["an error", "no JSON", "a stream", "a large answer", "another path", "no such field",
         "broken JSON", "a large prediction"],
)  # fmt: skip
def test_responses_without_a_prediction_get_no_token(status, headers, parts, path):
    api = Api(AnswerSettings("label"))
    api.answers(*parts, status=status, headers=headers)
    found, body = ask(api, path=path)
    assert "sluicegate-token" not in found
    assert body == b"".join(parts)


def test_a_missing_prediction_field_is_logged_once(caplog):
    api = Api(AnswerSettings("label"))
    api.answers(b"{}")
    for _ in range(3):
        ask(api)
    assert caplog.text.count("serving.feedback.prediction.field") == 1


def test_a_response_signed_by_the_service_code_is_not_signed_again():
    def own(answer):
        answer.next_id()
        answer.header.extend(["one", "two"])

    api = Api(AnswerSettings("label"), own=own)
    api.answers(b'{"label":1}')
    headers, _ = ask(api)
    assert (headers["sluicegate-token"], api.signed) == ("one,two", [])


def test_tokens_beyond_the_header_limit_are_omitted_and_logged_with_the_way_out(caplog):
    api = Api(None, own=lambda answer: answer.header.append("x" * (MAX_HEADER_BYTES + 1)))
    api.answers(b"{}")
    headers, _ = ask(api)
    assert "sluicegate-token" not in headers
    assert "return them in the answer's body" in caplog.text


@pytest.mark.parametrize(
    ("settings", "headers", "body", "caller_id"),
    [
        (AnswerSettings(id_header="x-id"), [(b"x-id", b" o-1 ")], b"{}", "o-1"),
        (AnswerSettings(id_header="x-id"), [], b"{}", None),
        (AnswerSettings(id_header="x-id"), [(b"x-id", b"a"), (b"x-id", b"b")], b"{}", None),
        (AnswerSettings(id_header="x-id"), [(b"x-id", b"a" * 129)], b"{}", None),
        (AnswerSettings(id_header="x-id"), [(b"x-id", "ordré-7 🚗".encode())], b"{}", "ordré-7 🚗"),
        (AnswerSettings(id_header="x-id"), [(b"x-id", "ordré-7".encode("latin-1"))], b"{}", None),
        (AnswerSettings(id_field="order.id"), [], b'{"order":{"id":7}}', "7"),
        (AnswerSettings(id_field="order.id"), [], b'{"order":{"id":true}}', None),
        (AnswerSettings(id_field="order.id"), [], b"no JSON", None),
    ],
)
def test_the_callers_id_comes_from_the_header_or_the_field(settings, headers, body, caller_id):
    api = Api(settings)
    api.answers(b"1")
    ask(api, headers=headers, body=body)
    ((_, _, given),) = api.signed
    assert given == (CallerId(caller_id) if caller_id else None)


@pytest.mark.parametrize("given", [b"a" * 129, b"a\xa0b", b"a\tb"], ids=["long", "latin-1", "tab"])
def test_a_warning_names_the_characters_that_an_id_may_have(caplog, given):
    api = Api(AnswerSettings(id_header="x-id"))
    api.answers(b"1")
    ask(api, headers=[(b"x-id", given)])
    assert "one has 1 to 128 printable characters, in UTF-8" in caplog.text


def test_the_response_to_a_mirrored_request_has_only_the_prediction():
    api = Api(AnswerSettings("label"))
    api.answers(b'{"label":3}')
    received = Received()
    token = current_request.set(received)
    try:
        headers, _ = ask(api, path="/-/mirrored/predict")
    finally:
        current_request.reset(token)
    assert received.predictions == [3]
    assert ("sluicegate-token" in headers, api.signed) == (False, [])


def test_the_token_has_the_prediction_of_the_candidate_for_a_mirrored_request():
    shadow = ShadowPrediction(4, "v2")

    async def predict() -> list[ShadowPrediction]:
        return [shadow]

    async def answer() -> None:
        current_request.set(Sent(asyncio.create_task(predict())))
        await api.ask()

    api = Api(AnswerSettings("label"))
    api.answers(b'{"label":3}')
    asyncio.run(answer())
    assert api.signed == [(3, shadow, None)]


@pytest.mark.parametrize("text", ["[]", "1", "{", '{"id":3}', '{"tolerancePercent":"x"}'])
def test_a_malformed_prediction_path_variable_is_refused_by_its_name(text):
    with pytest.raises(ValueError, match="SLUICEGATE_PREDICTION"):
        AnswerSettings.from_environment({"SLUICEGATE_PREDICTION": text})


# ---- scores without code -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tolerance", "prediction", "truth", "right"),
    [
        (None, "cat", "cat", True), (None, "cat", "dog", False), (None, 1, 1.0, True),
        (None, [1, 2], [1, 2], True), (10, 90, 100, True), (10, 89.9, 100, False),
        (10, -110, -100, True), (10, 0, 0, True),
    ],
)  # fmt: skip
def test_a_prediction_is_correct_if_equal_to_the_label_or_within_the_tolerance(
    tolerance, prediction, truth, right
):
    assert Agreement(tolerance)(prediction, truth).outcome is Outcome.of(correct=right)


@pytest.mark.parametrize(
    ("tolerance", "prediction", "truth"),
    [
        (None, "1", 1), (None, True, 1), (None, 1, None), (5, "a", "a"), (5, 1, float("nan")),
        (5, 1, True),
    ],
)  # fmt: skip
def test_a_label_of_another_type_is_invalid(tolerance, prediction, truth):
    with pytest.raises(InvalidTruthError):
        Agreement(tolerance)(prediction, truth)
