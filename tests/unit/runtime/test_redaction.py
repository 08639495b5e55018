"""Credentials are removed from texts, and what a person needs to read a failure stays."""

from __future__ import annotations

import json
import random
import string
from re import _parser

import pytest

from sluicegate.runtime import redaction
from sluicegate.runtime.redaction import REDACTED_TEXT, redact, redact_values

AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END RSA PRIVATE KEY-----"
HEX40 = "0123456789abcdef0123456789abcdef01234567"
HEX24 = "deadbeefdeadbeefdeadbeef"

SECRETS = {
    "an AWS key and its secret": ("AKIAIOSFODNN7EXAMPLE " + AWS_SECRET, ("AKIAIOSFODNN7EXAMPLE", AWS_SECRET)),
    "an AWS secret in the environment": (f"AWS_SECRET_ACCESS_KEY={AWS_SECRET}", (AWS_SECRET,)),
    "an AWS session token": ("aws_session_token = FwoGZXIvYXdzEBYaDHqa0AP1hexample", ("FwoGZXIvYXdzEBYaDHqa0AP1hexample",)),
    "a private key": (f"loaded {PEM} from disk", (BODY,)),
    "a private key that is cut": (f"loaded -----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY[:30]}", (BODY, BODY[:30])),
    "the rest of a private key": (f"{BODY[10:]}\n{BODY}\n-----END PRIVATE KEY-----", (BODY[10:], BODY)),
    "a JSON web token": (f"token {JWT} was refused", (JWT,)),
    "an Authorization header": ('{"Authorization": "Bearer abc.def-123"}', ("abc.def-123",)),
    "basic authentication": ("{'Authorization': 'Basic dXNlcjpwYXNz'}", ("dXNlcjpwYXNz",)),
    "a bearer": ("sent with bearer 0123456789abcdef0123456789", ("0123456789abcdef0123456789",)),
    "a database URL": ("postgresql://user:hunter2@db:5432/prices", ("hunter2", "user:")),
    "a password with the signs of a URL": ("postgresql://user:p@ss/w0rd@db/prices", ("p@ss", "w0rd")),
    "a user that is a token": (f"git clone https://{HEX40}@git.example/x.git", (HEX40,)),
    "redis without a user": ("redis://:s3cret@cache/0", ("s3cret",)),
    "a signed URL of S3": (
        "GET https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261130&X-Amz-Signature="
        + "0a" * 32 + "&X-Amz-Expires=900",
        ("0a" * 32, "AKIAIOSFODNN7EXAMPLE"),
    ),
    "a signed URL of Azure": ("https://x.blob.core.windows.net/c/b?sv=2024-11-04&sig=aB3%2FxYz9%3D&se=2026", ("aB3%2FxYz9%3D",)),
    "a signed URL of Google": ("https://storage.googleapis.com/b/o?X-Goog-Signature=" + "9f" * 40, ("9f" * 40,)),
    "a token of a query": ("GET /api?access_token=s3cr3t&page=2", ("s3cr3t",)),
    "a password of a command line": ("mysql --password=hunter2 -h db", ("hunter2",)),
    "a password in YAML": ("password: hunter2", ("hunter2",)),
    "a password of an environment": ("PGPASSWORD=correcthorse", ("correcthorse",)),
    "a password in JSON": ('{"db": {"password": "correct horse"}}', ("correct horse",)),
    "a secret in JSON": ('{"clientSecret": "abcdefgh"}', ("abcdefgh",)),
    "a secret in Python": ("{'secret': 'abcdefgh'}", ("abcdefgh",)),
    "a connection string": ("AccountName=x;AccountKey=Zm9vYmFyYmF6cXV4;EndpointSuffix=core", ("Zm9vYmFyYmF6cXV4",)),
    "an API key": ("api_key=1234abcd", ("1234abcd",)),
    "an API key in a text": ("X-Api-Key: 9b2f1c7d8e", ("9b2f1c7d8e",)),
    "GitHub": ("fatal: ghp_" + "A1b2" * 9, ("ghp_",)),
    "GitLab": ("glpat-x1y2z3x1y2z3x1y2z3x1", ("glpat-",)),
    "Slack": ("xoxb-123456789012-abcdefABCDEF", ("xoxb-",)),
    "a hook of Slack": ("POST https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX", ("T00000000",)),
    "Hugging Face": ("hf_" + "aBcD" * 9, ("hf_a",)),
    "OpenAI": ("sk-proj-abcdefghijklmnopqrstuvwx", ("sk-proj",)),
    "Google": ("AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6", ("AIzaSy",)),
    "OpenAI, of a service account": ("sk-svcacct-abcdefghijklmnopqrstuvwx", ("sk-svcacct",)),
    "GitLab, to deploy": ("gldt-x1y2z3x1y2z3x1y2z3x1", ("gldt-",)),
    "GitLab, of a runner": ("glrt-x1y2z3x1y2z3x1y2z3x1", ("glrt-",)),
    "Vault": ("login with hvs.CAESIabcdefghijklmnopqrstuv", ("hvs.",)),
    "a hook of Discord": ("POST https://discord.com/api/webhooks/1234/abc-DEF_ghi", ("1234/abc",)),
    "an Authorization header without a scheme": ("Authorization: 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b", ("9944b",)),
    "an authorization of a dictionary without a scheme": (f"{{'authorization': '{HEX24}'}}", (HEX24,)),
    "an authorization of ASGI": ("[(b'authorization', b'hunter2xyz')]", ("hunter2xyz",)),
    "digest authentication": ('Authorization: Digest username="a", uri="/", response="6629fae49393a05397450978507c4ef1"', ("6629fae4",)),
    "a short bearer": ("sent Bearer abc123", ("abc123",)),
    "a bearer of letters": ("sent Bearer mysecretvalue", ("mysecretvalue",)),
    "a key of a header": (f"X-API-KEY: {HEX24}", (HEX24,)),
    "a header as a pair": ("('X-Api-Key', 'a1b2c3d4')", ("a1b2c3d4",)),
    "a cookie": ("Cookie: theme=dark; sid=abcdef", ("abcdef", "dark")),
    "a cookie of a response": ("Set-Cookie: sid=abcdef; HttpOnly", ("abcdef",)),
    "a cookie of a dictionary": ("{'Cookie': 'sid=abcdef; other=ghijkl'}", ("abcdef", "ghijkl")),
    "an option": ("train --password hunter2xyz --epochs 3", ("hunter2xyz",)),
    "an option of a list of arguments": ("['train', '--password', 'hunter2xyz']", ("hunter2xyz",)),
    "the option of MySQL": ("mysql -u root -phunter2xyz prices", ("hunter2xyz",)),
    "the option of curl": ("curl -u admin:pw9 https://x.example", ("pw9",)),
    "PASS in an environment": ("DB_PASS=hunter2", ("hunter2",)),
    "PASS with a colon": ("SMTP_PASS: hunter2", ("hunter2",)),
    "a short name": ("pass=hunter2", ("hunter2",)),
    "AUTH in an environment": ("REDIS_AUTH=hunter2", ("hunter2",)),
    "a passcode": ("passcode='hunter 2'", ("hunter 2",)),
    "a key for encryption": ("ENCRYPTION_KEY=hunter2", ("hunter2",)),
    "a key for signatures": ("SIGNING_KEY=hunter2", ("hunter2",)),
    "a password of several words": ("connect(password='correct horse battery')", ("correct", "horse", "battery")),
    "a password with the other quote": ("password: \"it's mine\"", ("it's", "mine")),
    "a password of bytes": ("password=b'correct horse'", ("correct", "horse")),
    "a password as the default of an argument": ("password: str = 'hunter2'", ("hunter2",)),
    "a password of PHP": ("'password' => 'hunter2'", ("hunter2",)),
    "a password of XML": ("<db><password>hunter2</password></db>", ("hunter2",)),
    "a variable of a container": ('{"name": "DB_PASSWORD", "value": "hunter2"}', ("hunter2",)),
    "a configuration of Docker": ('{"auths":{"r.example":{"auth":"c3Zjb3Vy"}}}', ("c3Zjb3Vy",)),
    "an API key of letters": ("api_key: mysecretkeyvalue", ("mysecretkeyvalue",)),
    "API keys": ('{"api_keys": ["abcdef", "ghijkl"]}', ("abcdef", "ghijkl")),
    "a name within the value of another": ("secret: the token=hunter2", ("hunter2",)),
    "a private key of PGP": ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\nlQOYBF\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----", ("lQOYBF", "=abcd")),
    "an encrypted private key": ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AB12\n\nMIIEabc\n-----END RSA PRIVATE KEY-----", ("MIIEabc", "AB12")),
    "a random key": ("loaded Zq3vT8xK1mN6bR2wY9pL4sD7fG0h", ("Zq3vT8xK1mN6bR2wY9pL4sD7fG0h",)),
    "a random key in small letters": ("loaded q3vt8xk1mn6br2wy9pl4sd7fg0hj", ("q3vt8xk1mn6br2wy9pl4sd7fg0hj",)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "secrets"), SECRETS.values(), ids=SECRETS)
def test_a_credential_is_removed_from_a_text_and_from_a_line_of_json(text, secrets):
    for redacted in (
        redact(text),
        redact(json.dumps({"message": text, "nested": json.dumps(text)})),
    ):
        assert REDACTED_TEXT in redacted
        assert not [secret for secret in secrets if secret in redacted], redacted


@pytest.mark.parametrize(("text", "_"), SECRETS.values(), ids=SECRETS)
def test_redaction_is_idempotent(text, _):
    assert redact(redact(text)) == redact(text)


def test_non_string_json_values_are_not_redacted():
    values = {
        "secret": None,
        "token": 12,
        "password": True,
        "hmac": 0.5,
        "names": ["a", {"b": "c"}],
    }
    assert redact_values(values) == values


ORDINARY = (
    "registry.example/bentos/search@sha256:" + "a1" * 32,
    "registry.example:5000/team-a/Price_Model-v2/bento:2026.11.30-rc1",
    "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "pod pricing-train-7d9f8b6c5d-x2x9k of e3b0c442-98fc-1c14-9afb-f4c8996fb924 was evicted",
    "commit 0123456789abcdef0123456789abcdef01234567",
    'File "/opt/venv/lib/python3.11/site-packages/pandas/core/frame.py", line 4102, in __getitem__',
    'File "/app/src/used_car_market/training/TrainPriceModelV2.py", line 12, in <module>',
    "ModuleNotFoundError: No module named 'sklearn.ensemble._hist_gradient_boosting'",
    "ValueError: could not convert string to float: 'Mercedes-Benz_E220d_Cabriolet'",
    "KeyError: 'secret'", "token: Field required", "secretRef: name is missing",
    "Secret feedback not found", "tokens=1532 seconds=3", "max_tokens: 512", "tokenizer=bert-base-uncased",
    'password authentication failed for user "prices"', "secretName: feedback", "token=None",
    "basic authentication isn't supported", "the bearer of bad news",
    "http://prometheus:9090/api/v1/query_range", "https://127.0.0.1:6443/apis/apps/v1?labelSelector=a@b",
    "http://host:8080/path?mail=a@b.example", "ssh://git@github.com/org/repo.git",
    "epoch 12/100 loss=0.0123456789012345 val_loss=1.2345678901234567e-05 lr=3e-4",
    "HTTPSConnectionPool(host='data.example', port=443): Max retries exceeded with url: /data/2026/Sales_EU_v3.parquet",
    "<xgboost.core.Booster object at 0x7fafa0efe420>",
    "pydantic_core._pydantic_core.ValidationError: 2 validation errors for TrainingConfiguration2",
    "sluicegate.dev/promote=v15/2026-11-30", "HistGradientBoostingClassifierWithCalibration2",
    "s3://prices/year=2026/month=11/part-00000-of-00012.snappy.parquet",
    "2026-11-30T10:11:12.123456Z INFO starting", "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling cublasCreate(handle)",
    "NCCL_SOCKET_IFNAME=eth0 CUDA_VISIBLE_DEVICES=0,1,2,3 OMP_NUM_THREADS=8",
    "authorization failed for user x", "Authorization: failed for user x", "Bearer token is missing",
    "Bearer authentication isn't supported", "Set-Cookie: the header is missing",
    "password: field required", "password\n  Field required [type=missing]", "password=None", "password: str",
    "def connect(password: str, token: str = None)", "--password is required",
    "the following arguments are required: --password, --user", "argument --token: expected one argument",
    "secret: pricing-feedback-v2 not found", "missing columns ('token', 'label')",
    "GOOGLE_APPLICATION_CREDENTIALS=/secrets/gcp/key.json", "PWD=/app/src",
    "http://a/?key=color", "http://a/?user=bob@b.c", "http://a?user=bob@b.c", "http://a.example.org?user=bob@b.c",
    "http://[::1]:8080/?user=bob@b.c", "unexpected token: 1abc2def3", "Unexpected token: '<'",
    "eos_token=</s> pad_token='[PAD]'", '"tokens": ["hello", "world"]', "forward pass: 12 ms, bypass=yes, author: x",
    "_ZN5torch3jit6Module7forwardERKSt6vectorINS_6IValueESaIS2_EE", "libtorch.so(_ZN5torch3jit6ModuleC1Ev+0x1a2)",
    "TheBloke/Llama-2-7B-Chat-GPTQ-Int4Rev2", "meta-llama/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4",
    "java.lang.IllegalStateException at org.apache.spark.sql.execution.datasources.FileFormatWriter$.write",
)  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_line_is_not_redacted(text):
    assert redact(text) == text


ALPHABETS = {
    "base64": string.ascii_letters + string.digits + "+/",
    "url": string.ascii_letters + string.digits + "-_",
    "small": string.ascii_lowercase + string.digits,
    "capitals": string.ascii_uppercase + string.digits,
}


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
@pytest.mark.parametrize(("length", "missed"), [(32, 0.05), (40, 0.02)])
def test_nearly_all_random_keys_are_redacted(alphabet, length, missed):
    draw = random.Random(7)
    keys = ["".join(draw.choices(alphabet, k=length)) for _ in range(1000)]
    assert sum(key in redact(f"key {key} loaded") for key in keys) < missed * len(keys)


@pytest.mark.parametrize("length", [32, 40, 64, 128])
def test_an_image_digest_is_not_redacted(length):
    digest = "".join(random.Random(7).choices("0123456789abcdef", k=length))
    assert redact(f"digest {digest}") == f"digest {digest}"


def test_a_log_field_named_like_a_credential_is_redacted():
    fields = {"password": "correct horse", "api_key": "abc", "secret": "None", "user": "bob"}
    assert redact_values(fields) == fields | {"password": REDACTED_TEXT, "api_key": REDACTED_TEXT}


RESEMBLING = (
    "a", "a.", "-.", "a-", "--", "=", "://", "://:", "://a:", "password", 'password="', 'password=["', "pass:",
    "secret:", "token ", "api_key:/a", "cookie=a=", "authorization:", "bearer a", "mysql ", "curl -u ", "?key=", "\\'",
    "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "eyJ", "eyJaaaaaaaa.", "password>", "_Z", "sk-",
)  # fmt: skip


@pytest.mark.parametrize("part", RESEMBLING)
@pytest.mark.timeout(20)
def test_redaction_takes_linear_time_for_texts_that_resemble_credentials(part):
    assert isinstance(redact(part * (32 * 1024 // len(part))), str)


@pytest.mark.parametrize("pattern", [*(form for form, _ in redaction._REPLACED_FORMS), redaction._NAMED_SECRET], ids=lambda pattern: pattern.pattern[:40])  # fmt: skip
def test_each_redaction_pattern_begins_with_a_fixed_character(pattern):
    """A repetition at the beginning starts once more at each character of a long text."""
    assert _begins_with_a_character(_parser.parse(pattern.pattern))


def _begins_with_a_character(pattern) -> bool:
    for operation, argument in pattern:
        match str(operation):
            case "AT" | "ASSERT_NOT":
                continue
            case "ASSERT":
                direction, asserted = argument
                if direction > 0:
                    continue
                return _begins_with_a_character(asserted)
            case "SUBPATTERN":
                return _begins_with_a_character(argument[-1])
            case "BRANCH":
                return all(_begins_with_a_character(branch) for branch in argument[1])
            case kind:
                return kind in ("LITERAL", "IN")
    return False
