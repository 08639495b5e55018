"""Which event loop the operator runs in."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable


def fastest_loop() -> Callable[[], AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, or None for asyncio's own where it's missing."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    make: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return make
