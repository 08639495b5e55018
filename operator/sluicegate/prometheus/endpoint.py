"""Address, timeouts and limits of Prometheus."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

MEBIBYTE: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Address, credentials and limits of a Prometheus, Thanos or Mimir query API.

    Parameters
    ----------
    url
        Base address, without `/api/v1`.
    ca_file
        PEM bundle that signs the server's certificate; the system's bundle when None.
    token_file
        Bearer token, read before each request: a service account's token rotates.
    tenant
        Value of the header X-Scope-OrgID, by which Mimir, Loki and Cortex separate tenants.
    headers_file
        Further headers, one `Name: value` a line; read before each request.
    proxy
        Address of an HTTP proxy; the environment's is not used.
    timeout_seconds
        Seconds from the first byte sent to the last one read, retry included.
    connect_seconds
        For the connection alone.
    concurrency
        Most queries in flight, so that an evaluation leaves capacity for dashboards.
    max_answer_bytes
        Largest answer that is accepted; a larger one isn't read into memory.
    """

    url: str
    ca_file: Path | None = None
    token_file: Path | None = None
    tenant: str = ""
    headers_file: Path | None = None
    proxy: str = ""
    timeout_seconds: float = 20.0
    connect_seconds: float = 3.0
    concurrency: int = 4
    max_answer_bytes: int = 128 * MEBIBYTE

    def __post_init__(self) -> None:
        """Refuse settings that can only fail later."""
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError(f"Prometheus URL {self.url!r} must start with http:// or https://")
        if self.timeout_seconds <= 0 or self.connect_seconds <= 0 or self.concurrency < 1:
            raise ValueError(
                f"Prometheus limits must be positive: timeout_seconds={self.timeout_seconds}, "
                f"connect_seconds={self.connect_seconds}, concurrency={self.concurrency}"
            )
