"""A client of an OCI registry, with the calls for pushing and reading images, based on oras."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from oras.container import Container
from oras.provider import Registry
from requests.adapters import HTTPAdapter

from sluicegate_service.oci import MANIFEST_TYPE, HashingWriter, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN_HTTP_ENV = "SLUICEGATE_PLAIN_HTTP_REGISTRIES"
CHUNKED_ABOVE = 64 << 20  # a smaller layer is sent at once, from memory
CHUNK = 1 << 20
TIMEOUT_SECONDS = 60.0  # between two bytes of an answer, not for a whole upload
OK = (200, 201, 202)


class PushError(Exception):
    """The registry refused the bento; the message has the reference and the way out."""


class VersionTaken(PushError):  # noqa: N818  # says what is the case
    """The registry holds another bento of the same version."""

    @classmethod
    def of(cls, reference: str, existing: str, digest: str) -> VersionTaken:
        """Return the error for a `reference` with the digest `existing`, when another one is pushed."""
        return cls(
            f"{reference} is already {existing}, and what you push is {digest}: a version never"
            " changes, so build the bento under a new one"
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Target of a push: a repository of a registry, and its protocol."""

    repository: str
    tag: str | None = None
    plain_http: bool = False

    @classmethod
    def parse(cls, reference: str, *, plain_http: bool | None = None) -> Target:
        """Parse a reference HOST/PATH or HOST/PATH:TAG.

        `plain_http` None reads the environment: SLUICEGATE_PLAIN_HTTP_REGISTRIES is a
        comma-separated list of hosts (with their ports) without TLS.
        """
        host, slash, path = reference.partition("/")
        if not slash or not path or "@" in reference or not {".", ":"} & set(host):
            raise PushError(
                f"{reference!r} doesn't say where to push: give HOST/PATH or HOST/PATH:TAG,"
                " such as registry.example/bentos/pricing"
            )
        name, _, tag = path.partition(":")
        if name != name.lower():
            raise PushError(
                f"{reference!r} has capital letters in its path: registries know {name.lower()} only"
            )
        if plain_http is None:
            plain_http = host in os.environ.get(PLAIN_HTTP_ENV, "").split(",")
        return cls(f"{host}/{name}", tag or None, plain_http)

    @property
    def host(self) -> str:
        """The registry's host, with its port."""
        return self.repository.partition("/")[0]


class _Patient(HTTPAdapter):
    """An adapter with a timeout: requests without one may hang indefinitely, and oras sets none."""

    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override,explicit-override]
        options["timeout"] = options.get("timeout") or TIMEOUT_SECONDS
        return super().send(request, **options)


class RegistryClient:
    """One repository of a registry. Its errors are PushError and name the reference."""

    def __init__(self, target: Target, auth: Path | None) -> None:
        self.target = target
        self._container = Container(target.repository)
        self._oras = Registry(hostname=target.host, insecure=target.plain_http)
        for prefix in ("http://", "https://"):
            self._oras.session.mount(prefix, _Patient())
        self._oras.auth.load_configs(self._container, configs=_auth_files(auth))
        # oras retries an unreachable registry for minutes; this request fails at once.
        self._ask(lambda: self._oras.session.get(f"{self._oras.prefix}://{target.host}/v2/"))

    def refuse_other(self, version: str, digest: str) -> None:
        """Raise VersionTaken if the tag `version` refers to another digest."""
        answer = self._ask(
            lambda: self._oras.do_request(
                self._url(version), "GET", headers={"Accept": MANIFEST_TYPE}
            )
        )
        if answer.status_code == requests.codes.not_found:
            return
        self._check(answer, f"look for the version {version}")
        if (existing := digest_of(answer.content)) != digest:
            raise VersionTaken.of(f"{self.target.repository}:{version}", existing, digest)

    def upload_file(self, path: Path, digest: str) -> None:
        """Upload a blob, unless it exists."""
        size = path.stat().st_size
        blob = {"digest": digest, "size": size}
        answer = self._ask(
            lambda: self._oras.upload_blob(
                str(path), self._container, blob, do_chunked=size > CHUNKED_ABOVE
            )
        )
        self._check(answer, f"upload {size} bytes")

    def upload_bytes(self, data: bytes) -> None:
        """Upload a small blob."""
        with tempfile.NamedTemporaryFile(prefix="sluicegate-push-") as file:
            file.write(data)
            file.flush()
            self.upload_file(Path(file.name), digest_of(data))

    def has_tag(self, tag: str) -> bool:
        """Return whether the repository has a tag."""
        answer = self._ask(
            lambda: self._oras.do_request(self._url(tag), "HEAD", headers={"Accept": MANIFEST_TYPE})
        )
        return bool(answer.status_code == requests.codes.ok)

    def has_blob(self, digest: str) -> bool:
        """Return whether the repository holds a blob."""
        response = self._ask(
            lambda: self._oras.do_request(
                f"{self._oras.prefix}://{self._container.get_blob_url(digest)}", "HEAD"
            )
        )
        return bool(response.status_code == requests.codes.ok)

    def mount(self, digest: str, repository: str) -> bool:
        """Mount a blob from another repository of the same registry; return False if that fails."""
        url = f"{self._oras.prefix}://{self._container.upload_blob_url()}"
        answer = self._ask(
            lambda: self._oras.do_request(f"{url}?mount={digest}&from={repository}", "POST")
        )
        return bool(answer.status_code == requests.codes.created)

    def read_manifest(self, reference: str, accept: str) -> tuple[str, bytes]:
        """Return media type and bytes of the manifest of a tag or digest."""
        answer = self._ask(
            lambda: self._oras.do_request(self._url(reference), "GET", headers={"Accept": accept})
        )
        self._check(answer, f"read the manifest {reference}")
        return answer.headers.get("Content-Type", ""), answer.content

    def read_blob(self, digest: str, path: Path) -> None:
        """Write a blob to a file; PushError unless it has its digest."""
        url = f"{self._oras.prefix}://{self._container.get_blob_url(digest)}"
        answer = self._ask(lambda: self._oras.do_request(url, "GET", stream=True))
        self._check(answer, f"read {digest}")
        with path.open("wb") as file:
            sink = HashingWriter(file)
            for chunk in answer.iter_content(CHUNK):
                sink.write(chunk)
        if sink.digest != digest:
            raise PushError(f"{self.target.repository}: {digest} came as {sink.digest}: try again")

    def put_manifest(self, tag: str, manifest: bytes, media_type: str = MANIFEST_TYPE) -> None:
        """Push the manifest as `tag`, byte for byte as it was hashed."""
        answer = self._ask(
            lambda: self._oras.do_request(
                self._url(tag), "PUT", data=manifest, headers={"Content-Type": media_type}
            )
        )
        self._check(answer, f"write the manifest under {tag}")

    def _url(self, tag: str) -> str:
        return f"{self._oras.prefix}://{self._container.manifest_url(tag)}"

    def _ask(self, call: Callable[[], requests.Response]) -> requests.Response:
        repository = self.target.repository
        try:
            return call()
        except requests.exceptions.SSLError as error:
            raise PushError(
                f"{repository}: {self.target.host} doesn't speak TLS ({error}); if it is a plain-HTTP"
                f" registry, say so with --plain-http or {PLAIN_HTTP_ENV}={self.target.host}"
            ) from error
        except requests.exceptions.RequestException as error:
            raise PushError(
                f"{repository}: the registry {self.target.host} can't be reached: {error}"
            ) from error
        except ValueError as error:  # oras raises no errors of its own
            raise PushError(
                f"{repository}: the registry refused the upload: {error}; is there a login for"
                f" {self.target.host} in the docker config?"
            ) from error

    def _check(self, answer: requests.Response, title: str) -> None:
        if answer.status_code not in OK:
            raise PushError(
                f"{self.target.repository}: can't {title}: the registry answered"
                f" {answer.status_code} {answer.text[:200]}"
            )


def _auth_files(auth: Path | None) -> list[str]:
    if auth is not None:
        return [str(auth)]
    folder = os.environ.get("DOCKER_CONFIG")
    return [str(Path(folder) / "config.json")] if folder else []
