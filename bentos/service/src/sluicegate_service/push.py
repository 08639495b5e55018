"""Pushes a packed bento to a registry, under its version and under its digest.

The tag is there because registries remove what no tag points at; it is never moved. What a
DataProduct names is the digest that `push` returns.
"""

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

from sluicegate_service.oci import MANIFEST_TYPE, digest_of
from sluicegate_service.pack import PackedBento, packed

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN_HTTP_ENV = "SLUICEGATE_PLAIN_HTTP_REGISTRIES"
CHUNKED_ABOVE = 64 << 20  # a smaller layer is sent at once, from memory
TIMEOUT_SECONDS = 60.0  # between two bytes of an answer, not for a whole upload
OK = (200, 201, 202)


class PushError(Exception):
    """The registry didn't take the bento; the message names the reference and the way out."""


class VersionTaken(PushError):  # noqa: N818  # says what is the case
    """The registry holds another bento under the same version."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to push: a repository of a registry, and how to speak to it."""

    repository: str
    tag: str | None = None
    plain_http: bool = False

    @classmethod
    def parse(cls, reference: str, *, plain_http: bool | None = None) -> Target:
        """The target that `reference` names, as HOST/PATH or HOST/PATH:TAG.

        `plain_http` None asks the environment: SLUICEGATE_PLAIN_HTTP_REGISTRIES is a
        comma-separated list of hosts (with their ports) that speak HTTP without TLS.
        """
        host, slash, path = reference.partition("/")
        if not slash or not path or "@" in reference or not {".", ":"} & set(host):
            raise PushError(
                f"{reference!r} doesn't say where to push: give HOST/PATH or HOST/PATH:TAG,"
                " such as registry.example/bentos/pricing"
            )
        name, _, tag = path.partition(":")
        if plain_http is None:
            plain_http = host in os.environ.get(PLAIN_HTTP_ENV, "").split(",")
        return cls(f"{host}/{name}", tag or None, plain_http)

    @property
    def host(self) -> str:
        """The registry's host, with its port."""
        return self.repository.partition("/")[0]


def pack_and_push(
    source: Path, reference: str, *, plain_http: bool | None = None, auth: Path | None = None
) -> str:
    """Pack the bento at `source`, push it to `reference`, return HOST/PATH@sha256:….

    Credentials come from `auth`, a docker config file, else from $DOCKER_CONFIG or the
    home folder, as for any other client. Raises BentoInvalid, PushError or VersionTaken.
    """
    target = Target.parse(reference, plain_http=plain_http)
    with packed(source) as bento:
        return push(bento, target, auth=auth)


def push(bento: PackedBento, target: Target, *, auth: Path | None = None) -> str:
    """Push `bento` and return its reference by digest; pushing it again changes nothing."""
    registry = _Registry(target, auth)
    registry.refuse_other(bento.version, bento.digest)
    registry.upload_file(bento.layer, bento.layer_digest)
    registry.upload_bytes(bento.config)
    for tag in dict.fromkeys(filter(None, (bento.version, target.tag))):
        registry.put_manifest(tag, bento.manifest)
    return f"{target.repository}@{bento.digest}"


class _Patient(HTTPAdapter):
    """Requests without a timeout hang for ever; oras sets none."""

    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override,explicit-override]
        options["timeout"] = options.get("timeout") or TIMEOUT_SECONDS
        return super().send(request, **options)


class _Registry:
    """The few calls of the distribution API that a push takes, by oras."""

    def __init__(self, target: Target, auth: Path | None) -> None:
        self._target = target
        self._container = Container(target.repository)
        self._oras = Registry(hostname=target.host, insecure=target.plain_http)
        for prefix in ("http://", "https://"):
            self._oras.session.mount(prefix, _Patient())
        self._oras.auth.load_configs(self._container, configs=_auth_files(auth))
        # oras repeats for minutes what can't be reached; asked by ourselves, it is told at once.
        self._ask(lambda: self._oras.session.get(f"{self._oras.prefix}://{target.host}/v2/"))

    def refuse_other(self, version: str, digest: str) -> None:
        """Raise VersionTaken if the tag `version` points at another digest."""
        answer = self._ask(
            lambda: self._oras.do_request(
                self._url(version), "GET", headers={"Accept": MANIFEST_TYPE}
            )
        )
        if answer.status_code == requests.codes.not_found:
            return
        self._check(answer, f"look for the version {version}")
        if (found := digest_of(answer.content)) != digest:
            raise VersionTaken(
                f"{self._target.repository}:{version} is already {found}, and what you push is"
                f" {digest}: a version never changes, so build the bento under a new one"
            )

    def upload_file(self, path: Path, digest: str) -> None:
        """Upload a blob, unless it is there."""
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

    def put_manifest(self, tag: str, manifest: bytes) -> None:
        """Point `tag` at the manifest, byte for byte as it was hashed."""
        answer = self._ask(
            lambda: self._oras.do_request(
                self._url(tag), "PUT", data=manifest, headers={"Content-Type": MANIFEST_TYPE}
            )
        )
        self._check(answer, f"write the manifest under {tag}")

    def _url(self, tag: str) -> str:
        return f"{self._oras.prefix}://{self._container.manifest_url(tag)}"

    def _ask(self, call: Callable[[], requests.Response]) -> requests.Response:
        where = self._target.repository
        try:
            return call()
        except requests.exceptions.SSLError as error:
            raise PushError(
                f"{where}: {self._target.host} doesn't speak TLS ({error}); if it is a plain-HTTP"
                f" registry, say so with --plain-http or {PLAIN_HTTP_ENV}={self._target.host}"
            ) from error
        except requests.exceptions.RequestException as error:
            raise PushError(
                f"{where}: the registry {self._target.host} can't be reached: {error}"
            ) from error
        except ValueError as error:  # oras has no errors of its own
            raise PushError(
                f"{where}: the registry refused the upload: {error}; is there a login for"
                f" {self._target.host} in the docker config?"
            ) from error

    def _check(self, answer: requests.Response, what: str) -> None:
        if answer.status_code not in OK:
            raise PushError(
                f"{self._target.repository}: can't {what}: the registry answered"
                f" {answer.status_code} {answer.text[:200]}"
            )


def _auth_files(auth: Path | None) -> list[str]:
    if auth is not None:
        return [str(auth)]
    folder = os.environ.get("DOCKER_CONFIG")
    return [str(Path(folder) / "config.json")] if folder else []
