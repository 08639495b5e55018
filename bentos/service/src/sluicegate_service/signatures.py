"""Signatures of pushed bentos, in the form that cosign verifies with a public key.

A signature is an image beside the signed one, under the tag `sha256-<hex>.sig`. Its layer is a
statement about the digest ("simple signing"), and an annotation of the layer has the signature of
the statement: ECDSA on P-256 with SHA-256. Format:
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sluicegate_service.oci import CONFIG_TYPE, MANIFEST_TYPE, Blob, descriptor, digest_of
from sluicegate_service.registry import PushError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from sluicegate_service.registry import RegistryClient

KEY_ENV: Final = "SLUICEGATE_SIGNING_KEY"
"""Variable with the path of the private key by which `pack` and trainings sign."""
PASSWORD_ENV: Final = "COSIGN_PASSWORD"  # noqa: S105 - the name of a variable
"""Variable with the password of that key, as cosign names it."""
PAYLOAD_TYPE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION: Final = "dev.cosignproject.cosign/signature"
_TYPE: Final = "cosign container image signature"


class SigningError(PushError):
    """The signing key can't be used; the message has the way out."""


def signing_key(path: str | None = None) -> EllipticCurvePrivateKey | None:
    """Return the private key at `path`, or at that of the environment; None without either.

    Raises
    ------
    SigningError
        The file is no private key on P-256 in PEM (PKCS #8), its password is wrong, or the package
        cryptography isn't installed.
    """
    path = path or os.environ.get(KEY_ENV)
    if not path:
        return None
    try:  # only who signs needs the package, which has no wheel for some machines
        from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415
            SECP256R1,
            EllipticCurvePrivateKey,
        )
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            load_pem_private_key,
        )
    except ImportError as error:
        raise SigningError(
            f"the signing key {path} needs the package cryptography: pip install cryptography"
        ) from error
    password = os.environ.get(PASSWORD_ENV)
    try:
        key = load_pem_private_key(Path(path).read_bytes(), password.encode() if password else None)
    except OSError as error:
        raise SigningError(f"the signing key {path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise SigningError(
            f"the signing key {path} is not readable as PKCS #8 in PEM with the password of"
            f" {PASSWORD_ENV}: make one with openssl genpkey -algorithm EC -pkeyopt"
            " ec_paramgen_curve:P-256, or give the password"
        ) from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise SigningError(
            f"the signing key {path} is not on the curve P-256: make one with openssl genpkey"
            " -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
        )
    return key


def statement(repository: str, digest: str) -> bytes:
    """Return the signed payload: the repository HOST/PATH and the digest of the image, as JSON."""
    document = {
        "critical": {
            "identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": digest},
            "type": _TYPE,
        },
        "optional": None,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def signature_tag(digest: str) -> str:
    """Return the tag of the signatures of an image."""
    return f"{digest.replace(':', '-')}.sig"


def sign(registry: RegistryClient, digest: str, key: EllipticCurvePrivateKey) -> str:
    """Push a signature of the image with this digest; return the signature's own digest.

    An existing signature of the image is replaced: a bento has one signer.

    Raises
    ------
    PushError
        As of any push.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA  # noqa: PLC0415 - see signing_key
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    payload = statement(registry.target.repository, digest)
    signature = base64.b64encode(key.sign(payload, ECDSA(SHA256()))).decode()
    payload_digest = digest_of(payload)
    config = Blob.of(
        {
            "architecture": "",
            "config": {},
            "created": "0001-01-01T00:00:00Z",
            "history": [{"created": "0001-01-01T00:00:00Z"}],
            "os": "",
            "rootfs": {"diff_ids": [payload_digest], "type": "layers"},
        }
    )
    layer = descriptor(PAYLOAD_TYPE, payload_digest, len(payload))
    manifest = Blob.of(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.descriptor(CONFIG_TYPE),
            "layers": [{**layer, "annotations": {SIGNATURE_ANNOTATION: signature}}],
        }
    )
    registry.upload_bytes(payload)
    registry.upload_bytes(config.data)
    registry.put_manifest(signature_tag(digest), manifest.data)
    return manifest.digest
