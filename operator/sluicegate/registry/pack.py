"""Packs a bento and pushes it, with the code that training Jobs use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.errors import SluicegateError
from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.push import PushError, pack_and_push

if TYPE_CHECKING:
    from pathlib import Path


class PackFailed(SluicegateError):  # noqa: N818  # says what is the case
    """The bento isn't in the registry; the message names the reference and the way out."""


def pack_bento(bento: Path, reference: str, *, plain_http: bool | None = None) -> str:
    """Push `bento` (a folder or a .bento file) to `reference`, return HOST/PATH@sha256:…."""
    try:
        return pack_and_push(bento, reference, plain_http=plain_http)
    except (BentoInvalid, PushError) as error:
        raise PackFailed(str(error)) from error
