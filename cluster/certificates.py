"""The certificates of a throw-away control plane: one authority and what it signed, as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.cache import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cluster.signing import Signed

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

    @property
    def _key(self) -> Path:
        return self.folder / "ca.key"

    def ensure(self) -> None:
        """Make the authority and the tokens' key unless they exist."""
        from cluster import signing  # noqa: PLC0415 - slow, and seldom needed

        if not self.service_account_key.exists():
            write_atomically(self.service_account_key, signing.new_key(), mode=0o600)
        if not self.certificate.exists():
            authority = signing.make_authority("sluicegate-cluster")
            self._write(Pair(self.certificate, self._key), authority)

    def client(self, user: str, groups: Sequence[str] = ()) -> Pair:
        """Return a certificate that identifies a client."""
        return self._issue(user.replace(":", "-"), user, groups=groups)

    def server(self, name: str, addresses: Sequence[str]) -> Pair:
        """Return a certificate for a server that is reached by these names and IP addresses."""
        return self._issue(name, name, addresses=addresses)

    def _issue(
        self, file: str, user: str, *, groups: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> Pair:
        pair = Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        if not pair.certificate.exists():
            from cluster import signing  # noqa: PLC0415 - as above

            own = signing.Signed(self.certificate.read_bytes(), self._key.read_bytes())
            self._write(pair, signing.sign(own, user, groups=groups, addresses=addresses))
        return pair

    @staticmethod
    def _write(pair: Pair, signed: Signed) -> None:
        # The certificate last: it stands for both.
        write_atomically(pair.key, signed.key, mode=0o600)
        write_atomically(pair.certificate, signed.certificate)
