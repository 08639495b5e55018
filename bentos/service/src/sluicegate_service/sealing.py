"""Seals values: who holds one can neither read nor change it, and who has the product's key can.

A token is signed and can be read. What its holder isn't meant to see is sealed in it: Fernet
(AES-CBC and HMAC-SHA256, with a random initialisation vector) of the `cryptography` package. The
key is derived from the product's HMAC key, its name and the purpose, so that nothing that is sealed
for one purpose, or one product, opens for another.
"""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.fernet import MultiFernet

_CONTEXT: Final = b"sluicegate seal 1"


class UnsealableError(Exception):
    """Nothing that a key of this product has sealed for this purpose, or too old."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Seals values of one product for one purpose.

    `keys`: the one that seals, then those that still open (after a rotation).
    """

    namespace: str
    product: str
    keys: Sequence[bytes]
    purpose: str

    def close(self, value: Any) -> str:
        """The sealed value; `value` must be JSON."""
        text = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        return self._fernet().encrypt(text).decode()

    def open(self, sealed: str, *, lifetime_seconds: int | None = None) -> Any:
        """The value; UnsealableError for anything else, and after `lifetime_seconds`."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - see _fernet

        try:
            return json.loads(self._fernet().decrypt(sealed.encode(), ttl=lifetime_seconds))
        except InvalidToken as error:
            raise UnsealableError(f"no key of {self.product} has sealed this") from error

    def _fernet(self) -> MultiFernet:
        # Only pods of products that mirror requests need the package.
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415

        return MultiFernet([Fernet(self._derived(key)) for key in self.keys])

    def _derived(self, key: bytes) -> bytes:
        parts = (_CONTEXT, self.namespace.encode(), self.product.encode(), self.purpose.encode())
        # Lengths in front: no two different sets of parts make the same text.
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return base64.urlsafe_b64encode(hmac.new(key, text, sha256).digest())
