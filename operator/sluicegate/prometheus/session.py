"""The HTTP session that prometheus-api-client works on; it makes up for what that lacks.

Left alone, the library waits for ever, retries for ten seconds beyond any timeout, puts a
POST's query into the URL, sends one token for life, and throws away status, warnings and
result type. It does take a session of ours, though: this one sends form bodies, reads the
token each time, holds one deadline over a request, and hands on only complete answers.
"""

from __future__ import annotations

import json
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import requests
from typing_extensions import override

from sluicegate.prometheus.errors import (
    MalformedAnswer,
    PartialAnswer,
    PrometheusUnavailable,
    QueryRejected,
)

if TYPE_CHECKING:
    from sluicegate.prometheus.endpoint import Endpoint

_CHUNK: Final = 2**16
_SERVER_ERROR: Final = 500
_BUSY: Final = 429
_OK: Final = 200
_QUOTED: Final = 300
"""Characters of a foreign answer that fit in a message."""


class CheckedAnswer(requests.Response):
    """An answer that was read whole and holds; its body is parsed once."""

    def __init__(self, envelope: dict[str, Any]) -> None:
        super().__init__()
        self.status_code = _OK
        self._envelope = envelope

    @override
    def json(self, **_: Any) -> dict[str, Any]:
        return self._envelope


class QuerySession(requests.Session):
    """A session for one thread; every request is a query."""

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
            raise PrometheusUnavailable(f"Prometheus at {url} can't be asked: {error}") from error
        return CheckedAnswer(check_envelope(response.status_code, body))

    def _credentials(self) -> dict[str, str]:
        if self._endpoint.token_file is None:
            return {}
        token = self._endpoint.token_file.read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"}

    def _read(self, response: requests.Response, deadline: float) -> bytes:
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
                    f"Prometheus' answer exceeds {self._endpoint.max_answer_bytes:,} bytes"
                )
        return bytes(body)


def check_envelope(status: int, body: bytes) -> dict[str, Any]:
    """The parsed answer, when it says success and is complete; our own errors otherwise."""
    if status >= _SERVER_ERROR or status == _BUSY:
        raise PrometheusUnavailable(f"Prometheus answers HTTP {status}: {_excerpt(body)}")
    if status != _OK:
        raise QueryRejected(f"Prometheus refuses the query with HTTP {status}: {_excerpt(body)}")
    try:
        envelope = json.loads(body)
    except ValueError as error:
        raise MalformedAnswer(f"not JSON but {_excerpt(body)}") from error
    if not isinstance(envelope, dict) or envelope.get("status") != "success":
        raise PrometheusUnavailable(f"Prometheus reports no success: {_excerpt(body)}")
    if warnings := envelope.get("warnings"):
        raise PartialAnswer(f"Prometheus warns that its answer is incomplete: {warnings}")
    data = envelope.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise MalformedAnswer(f"no data.result in {_excerpt(body)}")
    if (kind := data.get("resultType")) != "matrix":
        raise MalformedAnswer(f"a range query answers with a matrix, this one with {kind!r}")
    return envelope


def _excerpt(body: bytes) -> str:
    return repr(body[:_QUOTED].decode("utf-8", "replace"))
