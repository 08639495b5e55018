"""Prediction tokens: signed for one product, for a time, and unforgeable."""

import base64
import hashlib
import hmac
import json

import pytest

from sluicegate_service.tokens import (
    MAX_TOKEN_BYTES,
    CallerId,
    ExpiredTokenError,
    InvalidTokenError,
    Prediction,
    TokenSigner,
)

KEY, OTHER = b"k" * 32, b"o" * 32


def signer(*, keys=(KEY,), namespace="catalog", product="pricing", lifetime=3600):
    return TokenSigner(namespace=namespace, product=product, keys=keys, lifetime_seconds=lifetime)


@pytest.mark.parametrize("value", [12345.67, ["c1", "c2"], None, {"bucket": 3}, "übergroß"])
def test_a_token_has_the_prediction_its_version_and_its_time(value):
    token = signer().issue(value, version="v3", now=1000.9)
    assert signer().read(token, now=1001) == Prediction(value=value, version="v3", issued_at=1000)


def test_two_tokens_of_equal_predictions_in_one_second_differ():
    assert signer().issue(1, version="v1", now=5) != signer().issue(1, version="v1", now=5)


@pytest.mark.parametrize(
    "reader",
    [
        signer(keys=(OTHER,)),
        signer(namespace="other"),
        signer(product="search-ranking"),
        # The same characters, parted elsewhere: lengths are signed too.
        signer(namespace="catalogp", product="ricing"),
    ],
    ids=["another key", "another namespace", "another product", "names run together"],
)
def test_a_token_of_another_product_is_refused(reader):
    token = signer().issue(1, version="v1", now=0)
    with pytest.raises(InvalidTokenError, match="no key of this product"):
        reader.read(token, now=1)


def test_a_token_signed_before_a_rotation_counts_with_the_previous_key():
    token = signer(keys=(OTHER,)).issue(1, version="v1", now=0)
    assert signer(keys=(KEY, OTHER)).read(token, now=1).value == 1


def test_tokens_are_signed_with_the_first_key():
    token = signer(keys=(KEY, OTHER)).issue(1, version="v1", now=0)
    assert signer(keys=(KEY,)).read(token, now=1).value == 1


def test_a_token_is_valid_to_the_second_of_its_expiry():
    token = signer(lifetime=60).issue(1, version="v1", now=100)
    assert signer(lifetime=60).read(token, now=160).value == 1
    with pytest.raises(ExpiredTokenError, match="61 s old; tokens count for 60 s"):
        signer(lifetime=60).read(token, now=161)


def test_a_token_with_a_changed_prediction_is_refused():
    token = signer().issue(1, version="v1", now=0)
    payload, signature = token.split(".")
    body = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) | {"v": "v2"}
    forged = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()
    with pytest.raises(InvalidTokenError):
        signer().read(f"{forged}.{signature}", now=1)


@pytest.mark.parametrize("rubbish", ["", "x", ".", "a.b", "é.é", "====.====", "a" * 5000, "a.b.c"])
def test_a_malformed_token_raises_only_the_invalid_token_error(rubbish):
    with pytest.raises(InvalidTokenError):
        signer().read(rubbish, now=0)


@pytest.mark.parametrize(
    "payload",
    [
        b"[]", b"{}", b"1", b"nonsense", b"\xff", b"[" * 3000,
        b'{"p":1,"v":"v1","t":"0"}', b'{"p":1,"v":1,"t":0}', b'{"v":"v1","t":0}',
        b'{"p":1,"v":"v1","t":null}', b'{"p":1,"v":"v1","t":-1}', b'{"p":1,"v":"v1","t":1e400}',
        b'{"p":1,"v":"v1","t":' + b"9" * 400 + b"}", b'{"p":1,"v":"v1","t":-' + b"9" * 400 + b"}",
    ],
)  # fmt: skip
def test_a_signed_payload_that_is_no_prediction_is_refused(payload):
    with pytest.raises(InvalidTokenError):
        signer().read(signed(payload), now=1)


def signed(payload):
    parts = (b"sluicegate prediction token 1", b"catalog", b"pricing", payload)
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    both = payload, hmac.new(KEY, text, hashlib.sha256).digest()
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in both)


def test_a_token_from_the_future_is_refused_beyond_the_clock_tolerance():
    token = signer().issue(1, version="v1", now=160)
    assert signer().read(token, now=100).value == 1
    with pytest.raises(InvalidTokenError, match="of the future, by more than 60 s"):
        signer().read(token, now=99)


def test_a_prediction_too_large_for_a_token_is_reported_as_a_service_error():
    with pytest.raises(ValueError, match=f"more than {MAX_TOKEN_BYTES}"):
        signer().issue("x" * MAX_TOKEN_BYTES, version="v1", now=0)


@pytest.mark.parametrize(("keys", "message"), [((), "no hmac key"), ((b"short",), "5 bytes")])
def test_a_missing_or_weak_signing_key_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        signer(keys=keys)


def test_predictions_with_the_same_caller_id_have_the_same_identity():
    tokens = [
        signer().issue(value, version="v1", now=5, caller_id=CallerId("o-1")) for value in (1, 2)
    ]
    one, two = (signer().read(token, now=6) for token in tokens)
    assert one.identity == two.identity == CallerId("o-1").identity
    assert one.caller_id == CallerId("o-1")
    others = [CallerId("o-1", 1), CallerId("o-2"), CallerId("1o-1")]
    assert len({one.identity, *(other.identity for other in others)}) == 4
