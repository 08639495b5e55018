"""An image that was built here lies in a registry as it lies on disk."""

from __future__ import annotations

import hashlib

import requests

from cluster.images import build, describe
from cluster.images.push import push
from sluicegate_service.oci import MANIFEST_TYPE


def test_a_pushed_image_has_the_digest_that_it_was_built_with(registry: str):
    built = build(describe("registry"))

    pushed = push(built, f"{registry}/sluicegate", plain_http=True)

    assert pushed == f"{registry}/sluicegate/registry@{built.digest}"
    answer = requests.get(
        f"http://{registry}/v2/sluicegate/registry/manifests/{describe('registry').version}",
        headers={"Accept": MANIFEST_TYPE},
        timeout=10,
    )
    assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == built.digest
    for layer in answer.json()["layers"]:
        there = f"http://{registry}/v2/sluicegate/registry/blobs/{layer['digest']}"
        assert requests.head(there, timeout=10).ok
