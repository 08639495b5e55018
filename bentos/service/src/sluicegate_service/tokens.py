"""Signed prediction tokens: the client keeps the prediction, so that no store is needed.

The label of a prediction arrives hours later at any pod of any version. The token contains the
prediction, its version and time, and the signature proves that this product made it. The signed
text contains namespace and product, the token doesn't: a token of another product has a wrong
signature here, even where two products share a key.

    token = base64url(payload) "." base64url(HMAC-SHA256(key, context ‖ payload))

If requests are mirrored, the token also contains the prediction of another version for the same
request. Its holder must not see that one, so it is sealed (see `sealing`).

base64url has many spellings of the same bytes (padding, bits that are cut off), so only the one
that `issue` writes is a token, and a token's identity is that of its payload. A caller may name a
prediction by an id of its own. The identity is then that of the id, so that a request that is
repeated with the same id, and answered twice, has one prediction whose label counts.
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from sluicegate_service.sealing import Seal, UnsealableError
from sluicegate_service.version_marks import UpstreamVersion

MAX_TOKEN_BYTES: Final = 4096
MIN_KEY_BYTES: Final = 16

CLOCK_SKEW_SECONDS: Final = 60
"""Seconds by which the clock of the predicting pod may be ahead of that of the receiving one."""

_CONTEXT: Final = b"sluicegate prediction token 1"
# Two predictions of the same value in the same second must be two tokens; otherwise the second one's
# label would count as a repetition.
_NONCE_BYTES: Final = 9
MAX_ID_CHARACTERS: Final = 128
"""Characters of a caller's id at most."""
MAX_UPSTREAMS: Final = 4
"""Upstreams of a token, at most."""
VALID_ID: Final = f"1 to {MAX_ID_CHARACTERS} printable characters, in UTF-8"
_ID_CONTEXT: Final = b"sluicegate id of a caller 1"
_SHADOW: Final = "the prediction of a shadow"


class TokenError(Exception):
    """A token can't be used; subclasses have the reason."""


class InvalidTokenError(TokenError):
    """The text is no token, or not one of this product."""


class ExpiredTokenError(TokenError):
    """The token is older than the limit."""


@dataclass(frozen=True, slots=True)
class ShadowPrediction:
    """Another version's prediction for the same request: the value (JSON), and the version."""

    value: Any
    version: str
    revision: str = ""


@dataclass(frozen=True, slots=True)
class CallerId:
    """Name of a prediction that its caller chose, and the prediction's position in its request."""

    text: str
    position: int = 0

    @property
    def identity(self) -> bytes:
        """Identity of the prediction."""
        return sha256(b"%s\0%d\0%s" % (_ID_CONTEXT, self.position, self.text.encode())).digest()


@dataclass(frozen=True, slots=True)
class Prediction:
    """Content of a token: the predicted value (JSON), its version, and its time (Unix seconds).

    `identity` is unique for the prediction, and the same for each spelling of its token. `shadow`
    is another version's prediction for the same request, where one was mirrored. `caller_id` is
    the name that the caller chose, if any.
    """

    value: Any
    version: str
    issued_at: int
    revision: str = ""
    market: str = ""
    identity: bytes = field(default=b"", compare=False, repr=False)
    shadow: ShadowPrediction | None = None
    caller_id: CallerId | None = None
    logged: bool = False
    """Whether the log of predictions has it."""
    upstreams: tuple[UpstreamVersion, ...] = ()
    """Versions of upstreams that answered for it, each of which was in a canary."""


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Issuer and reader of the tokens of one product.

    `keys`: the one that signs, then others that are accepted (after a rotation).
    """

    namespace: str
    product: str
    keys: Sequence[bytes]
    lifetime_seconds: int

    def __post_init__(self) -> None:
        for key in self.keys:
            if len(key) < MIN_KEY_BYTES:
                raise ValueError(
                    f"an hmac key of {len(key)} bytes is too short: use at least {MIN_KEY_BYTES}, "
                    "for example 32 random ones (openssl rand -base64 32)"
                )
        if not self.keys:
            raise ValueError("no hmac key: a token cannot be signed")

    def issue(
        self,
        value: Any,
        *,
        version: str,
        now: float,
        revision: str = "",
        market: str = "",
        shadow: ShadowPrediction | None = None,
        caller_id: CallerId | None = None,
        logged: bool = False,
        upstreams: Sequence[UpstreamVersion] = (),
    ) -> str:
        """Return a token for a new prediction; `value` must be small and JSON.

        A `shadow` that doesn't fit into the token is left out, and `upstreams` that don't.
        """
        body = {"p": value, "v": version, "t": int(now), "n": secrets.token_urlsafe(_NONCE_BYTES)}
        body |= ({"r": revision} if revision else {}) | ({"m": market} if market else {})
        body |= {"i": [caller_id.text, caller_id.position]} if caller_id else {}
        body |= {"l": 1} if logged else {}
        upstream_fields = {"u": upstreams[:MAX_UPSTREAMS]} if upstreams else {}
        sealed = {}
        if shadow is not None:
            sealed = {"s": self._seal.close([shadow.value, shadow.version, shadow.revision])}
        for more in ([upstream_fields | sealed] if sealed else []) + (
            [upstream_fields] if upstream_fields else []
        ):
            token = self._signed(body | more)
            if len(token) <= MAX_TOKEN_BYTES:
                return token
        token = self._signed(body)
        if len(token) > MAX_TOKEN_BYTES:
            raise ValueError(
                f"the prediction makes a token of {len(token)} bytes, more than {MAX_TOKEN_BYTES}: "
                "sign its bucket or its first part instead"
            )
        return token

    def read(self, token: str, *, now: float) -> Prediction:
        """Check signature and age of a token, and return its content.

        Raises
        ------
        InvalidTokenError
            It is no token, no key of this product signed it, or its time is in the future.
        ExpiredTokenError
            It was issued more than `lifetime_seconds` ago.
        """
        prediction = self._prediction(self._verified(token))
        if prediction.issued_at > now + CLOCK_SKEW_SECONDS:
            raise InvalidTokenError(
                f"the prediction is of the future, by more than {CLOCK_SKEW_SECONDS} s:"
                " set the clocks of the pods' nodes"
            )
        age = now - prediction.issued_at
        if age > self.lifetime_seconds:
            raise ExpiredTokenError(
                f"the prediction is {int(age)} s old; tokens count for {self.lifetime_seconds} s"
            )
        return prediction

    @property
    def _seal(self) -> Seal:
        return Seal(self.namespace, self.product, self.keys, _SHADOW)

    def _signed(self, body: dict[str, Any]) -> str:
        payload = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
        return f"{_encode(payload)}.{_encode(self._signature(self.keys[0], payload))}"

    def _verified(self, token: str) -> bytes:
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidTokenError(f"{len(token)} bytes are no prediction token")
        payload, separator, signature = token.partition(".")
        if not separator:
            raise InvalidTokenError("no prediction token: the part after the dot is missing")
        try:
            signed, given_signature = _decode(payload), _decode(signature)
        except (binascii.Error, ValueError) as error:
            raise InvalidTokenError(f"no prediction token: {error}") from error
        if (_encode(signed), _encode(given_signature)) != (payload, signature):
            raise InvalidTokenError("no prediction token: it isn't spelled as it was issued")
        if not any(
            hmac.compare_digest(self._signature(key, signed), given_signature) for key in self.keys
        ):
            raise InvalidTokenError("no key of this product has signed this token")
        return signed

    def _signature(self, key: bytes, payload: bytes) -> bytes:
        parts = (_CONTEXT, self.namespace.encode(), self.product.encode(), payload)
        # Lengths in front: no two different sets of parts make the same text.
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.new(key, text, sha256).digest()

    def _prediction(self, payload: bytes) -> Prediction:
        """Parse a signed payload; a key may have signed other data than predictions."""
        try:
            match json.loads(payload):
                case {"p": value, "v": str(version), "t": int(issued_at), **rest} if issued_at >= 0:
                    revision, market = rest.get("r", ""), rest.get("m", "")
                    caller_id, shadow = _caller_id(rest.get("i")), self._shadow(rest.get("s"))
                    identity = caller_id.identity if caller_id else sha256(payload).digest()
                    if isinstance(revision, str) and isinstance(market, str):
                        return Prediction(
                            value, version, issued_at, revision, market, identity, shadow, caller_id,
                            logged="l" in rest, upstreams=_upstreams(rest.get("u")),
                        )  # fmt: skip
        except (ValueError, RecursionError) as error:
            raise InvalidTokenError("no prediction token: its payload is no JSON") from error
        raise InvalidTokenError("no prediction token: its payload is of another form")

    def _shadow(self, sealed: object) -> ShadowPrediction | None:
        """Return the other version's prediction; None without one, and for one of a newer library."""
        if not isinstance(sealed, str):
            return None
        try:
            content = self._seal.open(sealed)
        except UnsealableError:
            return None
        match content:
            case [value, str(version), str(revision)]:
                return ShadowPrediction(value, version, revision)
            case _:
                return None


def is_valid_id(text: str) -> bool:
    """Return whether a caller may name a prediction so."""
    return 0 < len(text) <= MAX_ID_CHARACTERS and text.isprintable()


def identity_of(token: str | None, caller_id: CallerId | None) -> bytes:
    """Return the identity of a prediction: that of the caller's id or the token; else a new one.

    It is that of `TokenSigner.read`, without a check of the token.
    """
    if caller_id is not None:
        return caller_id.identity
    if token is None:
        return secrets.token_bytes(sha256().digest_size)
    return sha256(_decode(token.partition(".")[0])).digest()


def _upstreams(value: object) -> tuple[UpstreamVersion, ...]:
    """Return versions of upstreams; those of another form, of a newer library, are left out."""
    return tuple(
        UpstreamVersion(*names)
        for names in (value if isinstance(value, list) else ())
        if isinstance(names, list)
        and len(names) == len(UpstreamVersion._fields)
        and all(isinstance(name, str) for name in names)
    )


def _caller_id(value: object) -> CallerId | None:
    match value:
        case [str(text), int(position)]:
            return CallerId(text, position)
        case _:
            return None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
