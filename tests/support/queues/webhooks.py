"""Webhooks of controllers that run as processes of this machine: without a node no Service is reached."""

from __future__ import annotations

import base64
from typing import Any

import requests


def addressed(port: int, path: str, authority: bytes) -> dict[str, Any]:
    """Return the `clientConfig` of a webhook on this machine; `authority` is a certificate as PEM."""
    bundle = base64.b64encode(authority).decode()
    return {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}


def answers(url: str) -> bool:
    """Return whether a program answers with success."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
