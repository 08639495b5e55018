"""The HTTP session that prometheus-api-client works on; it makes up for what that lacks.

By default, the library waits indefinitely, retries for ten seconds beyond any timeout, puts a
POST's query into the URL, sends one token for life, and throws away status, warnings and
result type. It does take a session of ours, though: this one sends form bodies, reads the
token each time, holds one deadline over a request, and hands on only complete answers.

Rows are handed on while the answer is parsed, and answers are parsed one at a time: parsed JSON
takes ten times the room of its text, and that of five thousand products would be most of the
operator's memory. Nothing is lost by waiting, as Python parses one at a time anyway; only what is
urgent doesn't wait for seconds of others.
"""

import json
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

import requests
from typing_extensions import override

from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.errors import (
    MalformedAnswer,
    PartialAnswer,
    PrometheusUnavailable,
    QueryRejected,
)

T_co = TypeVar("T_co", covariant=True)
Row = dict[str, Any]
"""A row of a range query as JSON has it: `{"metric": {…}, "values": [[time, "value"], …]}`."""

_ROW: Final = frozenset({"metric", "values"})
_ANNOTATIONS: Final = ("PromQL warning", "PromQL info")
_CHUNK: Final = 2**16
_SERVER_ERROR: Final = 500
_BUSY: Final = 429
_OK: Final = 200
_QUOTED: Final = 300
"""Characters of a foreign answer that fit in a message."""


class Reader(Protocol[T_co]):
    """Takes in the rows of one answer."""

    def take(self, row: Row) -> None:
        """Take in a row, perhaps one without values; `MalformedAnswer` if it can't be read."""

    def result(self) -> T_co:
        """What was made of all rows; asked for when the whole answer holds."""


class CheckedAnswer(requests.Response):
    """An answer that was read whole and holds; in place of its rows stands what was made of them."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.status_code = _OK
        self._result = result

    @override
    def json(self, **_: Any) -> dict[str, Any]:
        return {"data": {"result": self._result}}


class QuerySession(requests.Session):
    """A session for one thread; every request is a query.

    Attributes
    ----------
    reader
        Makes what takes the rows of an answer in.
    turn
        Held while an answer is parsed; the sessions of all threads share it.
    """

    reader: Callable[[], Reader[object]]
    turn: Lock

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        # A proxy or a netrc of the environment has no say in where measurements come from.
        self.trust_env = False
        self.verify = str(endpoint.ca_file) if endpoint.ca_file else True

    @override
    def request(self, method: Any, url: Any, *_: Any, **options: Any) -> CheckedAnswer:
        """Send `options["params"]` as a form; answer within `options["timeout"]` seconds."""
        seconds: float = options["timeout"]
        deadline = monotonic() + seconds
        try:
            with super().request(
                "POST",
                url,
                data=options["params"],
                headers=self._credentials(),
                timeout=(min(seconds, self._endpoint.connect_seconds), seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, deadline)
        except (requests.RequestException, OSError) as error:
            raise PrometheusUnavailable(f"Prometheus at {url} can't be reached: {error}") from error
        with self.turn:
            reader = self.reader()
            read_rows(response.status_code, body, reader.take)
            return CheckedAnswer(reader.result())

    def _credentials(self) -> dict[str, str]:
        if self._endpoint.token_file is None:
            return {}
        token = self._endpoint.token_file.read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"}

    def _read(self, response: requests.Response, deadline: float) -> bytearray:
        """The body, if it ends before the deadline and the limit."""
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if monotonic() > deadline:
                raise PrometheusUnavailable(
                    f"Prometheus was still sending after its time-out ({len(body):,} bytes)"
                )
            if len(body) > self._endpoint.max_answer_bytes:
                raise MalformedAnswer(
                    f"Prometheus' answer exceeds {self._endpoint.max_answer_bytes:,} bytes",
                    oversized=True,
                )
        return body


def read_rows(status: int, body: bytearray, take: Callable[[Row], None]) -> None:
    """Hand on the rows of an answer that says success and is complete; our own errors otherwise."""

    def taken(found: Row) -> Row | None:
        if found.keys() >= _ROW:
            take(found)
            return None
        return found

    _check_status(status, body)
    try:
        envelope = json.loads(body, object_hook=taken)
    except ValueError as error:
        raise MalformedAnswer(f"not JSON but {_excerpt(body)}") from error
    for row in _result(envelope, body):
        if row is None:
            continue
        if not isinstance(row, dict) or not row.get("metric"):
            raise MalformedAnswer(f"a row without metric and values: {row!r:.200}")
        take(row)


def _check_status(status: int, body: bytearray) -> None:
    if status >= _SERVER_ERROR or status == _BUSY:
        raise PrometheusUnavailable(f"Prometheus answers HTTP {status}: {_excerpt(body)}")
    if status != _OK:
        raise QueryRejected(f"Prometheus refuses the query with HTTP {status}: {_excerpt(body)}")


def _result(envelope: object, body: bytearray) -> list[object]:
    """What is left of the rows in a complete matrix: None for each that was taken."""
    if not isinstance(envelope, dict) or envelope.get("status") != "success":
        raise PrometheusUnavailable(f"Prometheus reports no success: {_excerpt(body)}")
    if warnings := _about_data(envelope.get("warnings")):
        raise PartialAnswer(f"Prometheus warns that its answer is incomplete: {warnings}")
    data = envelope.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise MalformedAnswer(f"no data.result in {_excerpt(body)}")
    if (kind := data.get("resultType")) != "matrix":
        raise MalformedAnswer(f"a range query answers with a matrix, this one with {kind!r}")
    rows: list[object] = data["result"]
    return rows


def _about_data(warnings: object) -> list[object]:
    """The warnings that say that data is missing.

    What the engine says of series that it left out, as they are native histograms for instance,
    is no reason to believe none of the others.
    """
    listed = warnings if isinstance(warnings, list) else [warnings] if warnings else []
    return [one for one in listed if not str(one).startswith(_ANNOTATIONS)]


def _excerpt(body: bytearray) -> str:
    return repr(body[:_QUOTED].decode("utf-8", "replace"))
