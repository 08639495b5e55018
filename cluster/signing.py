"""Makes keys and certificates; apart from `certificates`, because its library is slow to import.

A start of a cluster that runs already has a second for everything and signs nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

LIFETIME = dt.timedelta(days=365)
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: bytes


def new_key() -> bytes:
    """Return a private key, as PEM."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def make_authority(name: str) -> Signed:
    """Return a certificate that may sign others, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    extension = x509.BasicConstraints(ca=True, path_length=None)
    builder = _builder(subject, key.public_key(), issuer=subject)
    certificate = builder.add_extension(extension, critical=True).sign(key, hashes.SHA256())
    return Signed(certificate.public_bytes(_PEM), _key_pem(key))


def sign(
    authority: Signed, user: str, *, groups: Sequence[str] = (), addresses: Sequence[str] = ()
) -> Signed:
    """Return a client's certificate, or with `addresses` a server's that is reached by these."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    issuer = x509.load_pem_x509_certificate(authority.certificate).subject
    usage = ExtendedKeyUsageOID.SERVER_AUTH if addresses else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(subject, key.public_key(), issuer=issuer).add_extension(
        x509.ExtendedKeyUsage([usage]), critical=False
    )
    if addresses:
        names = x509.SubjectAlternativeName([_alternative(text) for text in addresses])
        builder = builder.add_extension(names, critical=False)
    signer = serialization.load_pem_private_key(authority.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    return Signed(builder.sign(signer, hashes.SHA256()).public_bytes(_PEM), _key_pem(key))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        _PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, *, issuer: x509.Name
) -> x509.CertificateBuilder:
    # A clock that was set back a little since must not make the certificate invalid.
    now = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + LIFETIME)
    )


def _alternative(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
