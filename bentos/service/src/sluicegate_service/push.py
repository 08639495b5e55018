"""Push of a packed bento to a registry, under its version and under its digest.

The tag exists because registries remove untagged manifests; it is never moved. A DataProduct names
the digest that `push` returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate_service import layout
from sluicegate_service.pack import PackedBento, packed
from sluicegate_service.registry import (
    PLAIN_HTTP_ENV,
    PushError,
    RegistryClient,
    Target,
    VersionTaken,
)
from sluicegate_service.signatures import sign, signing_key

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = [
    "PLAIN_HTTP_ENV",
    "PushError",
    "Target",
    "VersionTaken",
    "is_taken",
    "pack_and_push",
    "push",
]


def pack_and_push(
    source: Path,
    reference: str,
    *,
    plain_http: bool | None = None,
    auth: Path | None = None,
    sign_key: str | None = None,
) -> str:
    """Pack the bento at `source`, push and sign it, return HOST/PATH@sha256:….

    Credentials come from `auth`, a docker config file, else from $DOCKER_CONFIG or the home folder,
    as for other clients. The key is that of the file `sign_key`, else of $SLUICEGATE_SIGNING_KEY;
    without either the image has no signature. With a reference file:///FOLDER, the image is written
    there instead, without a signature. Raises BentoInvalid, PushError, SigningError or VersionTaken.
    """
    if reference.startswith(layout.SCHEME):
        with packed(source) as bento:
            return _write_layout(bento, reference)
    target = Target.parse(reference, plain_http=plain_http)
    key = signing_key(sign_key)
    with packed(source) as bento:
        return push(bento, target, auth=auth, key=key)


def is_taken(reference: str, version: str, *, auth: Path | None = None) -> bool:
    """Return whether the repository holds a bento of this version already. Raises PushError."""
    if reference.startswith(layout.SCHEME):
        return layout.digest_under(layout.folder_of(reference), version) is not None
    return RegistryClient(Target.parse(reference), auth).has_tag(version)


def _write_layout(bento: PackedBento, reference: str) -> str:
    folder = layout.folder_of(reference)
    existing = layout.digest_under(folder, bento.version)
    if existing not in (None, bento.digest):
        raise VersionTaken.of(f"{reference}:{bento.version}", str(existing), bento.digest)
    try:
        layout.write(folder, bento)
    except OSError as error:
        raise PushError(f"{reference} can't be written: {error.strerror}") from error
    return f"{reference}@{bento.digest}"


def push(
    bento: PackedBento,
    target: Target,
    *,
    auth: Path | None = None,
    key: EllipticCurvePrivateKey | None = None,
) -> str:
    """Push `bento`, signed with `key`, and return its reference by digest.

    A second push changes nothing but the signature. The signature comes before the tags, so what is
    found under a version is signed.
    """
    registry = RegistryClient(target, auth)
    registry.refuse_other(bento.version, bento.digest)
    registry.upload_file(bento.layer, bento.layer_digest)
    registry.upload_bytes(bento.config)
    if key is not None:
        sign(registry, bento.digest, key)
    for tag in dict.fromkeys(filter(None, (bento.version, target.tag))):
        registry.put_manifest(tag, bento.manifest)
    return f"{target.repository}@{bento.digest}"
