"""Credentials are removed from texts, and what a person needs to read a failure stays."""

from __future__ import annotations

import json
import random
import string

import pytest

from sluicegate.runtime.redaction import REDACTED, redact, redact_values

AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END RSA PRIVATE KEY-----"
HEX40 = "0123456789abcdef0123456789abcdef01234567"

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
    "a random key": ("loaded Zq3vT8xK1mN6bR2wY9pL4sD7fG0h", ("Zq3vT8xK1mN6bR2wY9pL4sD7fG0h",)),
    "a random key in small letters": ("loaded q3vt8xk1mn6br2wy9pl4sd7fg0hj", ("q3vt8xk1mn6br2wy9pl4sd7fg0hj",)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "secrets"), SECRETS.values(), ids=SECRETS)
def test_a_credential_is_removed_from_a_text_and_from_a_line_of_json(text, secrets):
    for redacted in (
        redact(text),
        redact(json.dumps({"message": text, "nested": json.dumps(text)})),
    ):
        assert REDACTED in redacted
        assert not [secret for secret in secrets if secret in redacted], redacted


@pytest.mark.parametrize(("text", "_"), SECRETS.values(), ids=SECRETS)
def test_a_redacted_text_stays_when_it_is_redacted_again(text, _):
    assert redact(redact(text)) == redact(text)


def test_values_of_json_that_are_no_texts_stay():
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
    "java.lang.IllegalStateException at org.apache.spark.sql.execution.datasources.FileFormatWriter$.write",
)  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_line_stays(text):
    assert redact(text) == text


def test_nearly_all_random_keys_are_found_and_no_digest():
    draw = random.Random(7)
    alphabets = {"base64": string.ascii_letters + string.digits + "+/", "url": string.ascii_letters + string.digits + "-_"}  # fmt: skip
    for alphabet in alphabets.values():
        keys = ["".join(draw.choices(alphabet, k=40)) for _ in range(2000)]
        assert sum(key in redact(f"key {key} loaded") for key in keys) < 0.02 * len(keys)
    for length in (32, 40, 64, 128):
        digest = "".join(draw.choices("0123456789abcdef", k=length))
        assert redact(f"digest {digest}") == f"digest {digest}"


@pytest.mark.parametrize("text", ["a" * 200_000, "=" * 200_000, "://" + ":" * 50_000, "password" * 20_000, "-----BEGIN PRIVATE KEY-----" * 5_000, "eyJ" * 60_000])  # fmt: skip
@pytest.mark.timeout(60)
def test_a_text_that_resembles_a_credential_costs_linear_time(text):
    assert isinstance(redact(text), str)
