"""The certificates of a throw-away control plane: one authority and what it signs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.cache import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIFETIME = dt.timedelta(days=365)
ADMINISTRATORS = "system:masters"


@dataclass(frozen=True, slots=True)
class Pair:
    """Paths of a certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs for one cluster; its folder holds the authority and everything it signed."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The authority's certificate: what clients trust."""
        return self.folder / "ca.crt"

    @property
    def service_account_key(self) -> Path:
        """Signs the tokens of service accounts; the API server reads its public part from it."""
        return self.folder / "service-accounts.key"

    def ensure(self) -> None:
        """Make the authority and the tokens' key unless they exist."""
        if not self.service_account_key.exists():
            write_atomically(self.service_account_key, _pem(_new_key()), mode=0o600)
        if not self.certificate.exists():
            key = _new_key()
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sluicegate-cluster")])
            certificate = (
                _builder(name, key.public_key(), issuer=name)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .sign(key, hashes.SHA256())
            )
            write_atomically(self.folder / "ca.key", _pem(key), mode=0o600)
            write_atomically(self.certificate, certificate.public_bytes(_PEM))

    def client(self, user: str, groups: Sequence[str] = ()) -> Pair:
        """A certificate that says who a client is."""
        return self._issue(user.replace(":", "-"), user, groups=groups)

    def server(self, name: str, addresses: Sequence[str]) -> Pair:
        """A certificate for a server that is reached by these names and IP addresses."""
        return self._issue(name, name, addresses=addresses)

    def _issue(
        self, file: str, user: str, *, groups: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> Pair:
        pair = Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        if pair.certificate.exists():
            return pair
        key = _new_key()
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes()).subject
        usage = ExtendedKeyUsageOID.SERVER_AUTH if addresses else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = _builder(subject, key.public_key(), issuer=issuer).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if addresses:
            names = x509.SubjectAlternativeName([_alternative(text) for text in addresses])
            builder = builder.add_extension(names, critical=False)
        signer = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        write_atomically(pair.key, _pem(key), mode=0o600)
        signed = builder.sign(signer, hashes.SHA256())
        write_atomically(pair.certificate, signed.public_bytes(_PEM))
        return pair


_PEM = serialization.Encoding.PEM


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
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
