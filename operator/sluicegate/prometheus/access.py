"""Access to Prometheus: headers of a request, and reasons of a refusal with the setting to change.

Reasons are stable: they name no object of the library and no port of this side, so that the same
outage has the same words. They hold no credentials: an address is shown without user and password.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import requests
from urllib3.exceptions import NameResolutionError

from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.errors import PrometheusUnavailable

TENANT_HEADER: Final = "X-Scope-OrgID"
_HTTP_UNAUTHORIZED: Final = 401
_HTTP_FORBIDDEN: Final = 403
_HTTP_REDIRECTS: Final = range(300, 400)


def address_without_user(url: str) -> str:
    """Return an address without user and password."""
    url_parts = urlsplit(url)
    return urlunsplit(url_parts._replace(netloc=url_parts.netloc.rpartition("@")[2]))


def headers_of(endpoint: Endpoint) -> dict[str, str]:
    """Return the headers of a request: the configured ones, the tenant's and the token's; files are read each time.

    Raises
    ------
    PrometheusUnavailable
        A file can't be read, or has a line that is no header; the message names the setting.
    """
    headers: dict[str, str] = {}
    if endpoint.headers_file is not None:
        headers.update(_name_value_lines(endpoint.headers_file))
    if endpoint.tenant:
        headers[TENANT_HEADER] = endpoint.tenant
    if endpoint.token_file is not None:
        token = _read_secret(endpoint.token_file, "SLUICEGATE_PROMETHEUS_TOKEN_FILE").strip()
        if not token or not token.isascii() or not token.isprintable():
            raise PrometheusUnavailable(
                f"SLUICEGATE_PROMETHEUS_TOKEN_FILE ({endpoint.token_file}) holds no token:"
                " write the token alone into it"
            )
        headers["Authorization"] = f"Bearer {token}"
    return headers


def proxies_of(endpoint: Endpoint) -> dict[str, str]:
    """Return the proxy of an endpoint in the form of `requests`; empty without one."""
    return {} if not endpoint.proxy else dict.fromkeys(("http", "https"), endpoint.proxy)


def reason_of(error: Exception, endpoint: Endpoint) -> str:
    """Return why a request has no answer, with the setting that may be wrong."""
    causes = list(_causes_of(error))
    proxy = any(isinstance(cause, requests.exceptions.ProxyError) for cause in causes)
    proxy_text = (
        f"the proxy {address_without_user(endpoint.proxy)} (SLUICEGATE_PROMETHEUS_PROXY_URL): "
        if proxy
        else ""
    )
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return proxy_text + _certificate_problem(cause, endpoint)
        if isinstance(cause, NameResolutionError):
            return f"{proxy_text}its name can't be resolved"
        if isinstance(cause, requests.exceptions.ConnectTimeout):
            return f"{proxy_text}no connection within {endpoint.connect_seconds:g} s"
        if isinstance(cause, requests.exceptions.Timeout):
            return f"{proxy_text}no answer in time"
    words = next((cause.strerror for cause in reversed(causes) if isinstance(cause, OSError)
                  and cause.strerror), "")  # fmt: skip
    return proxy_text + (words or _without_object(str(causes[-1] if proxy else error)))


def refusal_of(status: int, body: bytes, endpoint: Endpoint) -> str:
    """Return the error for an HTTP status about access; empty if the status is about the query."""
    if status == _HTTP_UNAUTHORIZED:
        return _credentials_problem(body, endpoint)
    if status == _HTTP_FORBIDDEN:
        return "the credentials do not allow queries: allow them at the server"
    if status in _HTTP_REDIRECTS:
        return (
            "it redirects to another address, e.g. that of a login: set SLUICEGATE_PROMETHEUS_URL"
        )
    return ""


def _credentials_problem(body: bytes, endpoint: Endpoint) -> str:
    if b"org id" in body.lower():
        if endpoint.tenant:
            return f"it does not accept the tenant {endpoint.tenant} (SLUICEGATE_PROMETHEUS_TENANT)"
        return "it asks for a tenant: set SLUICEGATE_PROMETHEUS_TENANT (chart: prometheus.tenant)"
    if endpoint.token_file is None:
        return (
            "it asks for credentials: set SLUICEGATE_PROMETHEUS_TOKEN_FILE"
            " (chart: prometheus.token), or SLUICEGATE_PROMETHEUS_HEADERS_FILE"
        )
    return (
        f"it does not accept the token of {endpoint.token_file} (SLUICEGATE_PROMETHEUS_TOKEN_FILE)"
    )


def _certificate_problem(error: ssl.SSLCertVerificationError, endpoint: Endpoint) -> str:
    text = f"its certificate is not trusted ({error.verify_message})"
    if endpoint.ca_file is None:
        return f"{text}: set SLUICEGATE_PROMETHEUS_CA_FILE (chart: prometheus.ca) to the CA that signed it"
    return f"{text}: SLUICEGATE_PROMETHEUS_CA_FILE ({endpoint.ca_file}) has another CA"


def _name_value_lines(path: Path) -> Iterator[tuple[str, str]]:
    for line in _read_secret(path, "SLUICEGATE_PROMETHEUS_HEADERS_FILE").splitlines():
        name, separator, value = line.partition(":")
        if not line.strip():
            continue
        if not separator or not name.strip().replace("-", "").isalnum() or not value.isprintable():
            raise PrometheusUnavailable(
                f"SLUICEGATE_PROMETHEUS_HEADERS_FILE ({path}) has a line that is no header:"
                " write Name: value"
            )
        yield name.strip(), value.strip()


def _read_secret(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause_text = getattr(error, "strerror", None) or "it is not text"
        raise PrometheusUnavailable(f"{setting} ({path}) can't be read: {cause_text}") from error


def _causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that it wraps, the outermost first."""
    causes: list[BaseException] = []
    next_error: BaseException | None = error
    while next_error is not None and next_error not in causes:
        causes.append(next_error)
        yield next_error
        inner_errors = [getattr(next_error, "reason", None), *next_error.args]
        wrapped_errors = (
            inner_error for inner_error in inner_errors if isinstance(inner_error, BaseException)
        )
        next_error = next(wrapped_errors, next_error.__cause__ or next_error.__context__)


def _without_object(text: str) -> str:
    """Return a library's message without the object address before its reason."""
    return text.rpartition(">: ")[2].rstrip(")'\"")
