"""Sealed values: only the product's key can read or change one.

A token is signed but readable. Data that its holder must not see is sealed in it: Fernet (AES-CBC
and HMAC-SHA256, with a random initialisation vector) of the `cryptography` package. The key is
derived from the product's HMAC key, its name and the purpose, so that a value of one purpose, or
one product, can't be opened for another.
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
    """The text wasn't sealed by a key of this product for this purpose, or is too old."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal for values of one product and one purpose.

    `keys`: the one that seals, then others that can open (after a rotation).
    """

    namespace: str
    product: str
    keys: Sequence[bytes]
    purpose: str

    def close(self, value: Any) -> str:
        """Return the sealed value; `value` must be JSON."""
        text = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        return self._fernet().encrypt(text).decode()

    def open(self, sealed: str, *, lifetime_seconds: int | None = None) -> Any:
        """Return the value; UnsealableError for any other text, and after `lifetime_seconds`."""
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
        # With the lengths, different parts can't give the same text.
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return base64.urlsafe_b64encode(hmac.new(key, text, sha256).digest())
