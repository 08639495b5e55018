"""Whether the feedback Secret can be used, as a metric."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sluicegate_service.keys import KeyFiles
from sluicegate_service.secret_watch import usable, watch_secret

if TYPE_CHECKING:
    from pathlib import Path


def test_a_feedback_secret_is_usable_unusable_or_not_required(tmp_path: Path):
    assert usable(KeyFiles(tmp_path / "absent")) is None
    keys = KeyFiles(tmp_path)
    assert usable(keys) is False
    (tmp_path / "hmac").write_bytes(b"k" * 32)
    (tmp_path / "bearer").write_bytes(b"short")
    assert usable(keys) is False
    (tmp_path / "bearer").write_bytes(b"b" * 32)
    assert usable(keys) is True


async def test_a_changed_feedback_secret_is_exported_without_a_request(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("sluicegate_service.secret_watch.PERIOD_SECONDS", 0)
    shown: asyncio.Queue[bool] = asyncio.Queue()
    watching = asyncio.ensure_future(watch_secret(KeyFiles(tmp_path), shown.put_nowait))
    assert await shown.get() is False
    for name in ("hmac", "bearer"):
        (tmp_path / name).write_bytes(b"k" * 32)
    while not await shown.get():
        pass
    watching.cancel()
