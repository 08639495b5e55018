"""Which event loop the operator runs in: the image's is uvloop's, and it must do without."""

from __future__ import annotations

import asyncio
import sys

import pytest
import uvloop

from sluicegate import handlers
from sluicegate.handlers import fastest_loop
from sluicegate.manager import Controller, Program, Tools
from sluicegate.settings import parse_settings
from sluicegate.wiring import PROGRAM


class Built(Exception):  # noqa: N818  # it ends the operator before it asks anybody anything
    """The operator is being put together; its argument is the event loop it runs in."""


def built_in() -> asyncio.AbstractEventLoop:
    """The event loop in which `sluicegate run` puts its parts together."""

    def build(_: Tools) -> Controller:
        raise Built(asyncio.get_running_loop())

    with pytest.raises(Built) as built:
        handlers.run(parse_settings({}), Program(PROGRAM.watched, build))
    loop: asyncio.AbstractEventLoop = built.value.args[0]
    return loop


@pytest.fixture
def without_uvloop(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)


def test_the_event_loop_is_uvloop_if_installed():
    make = fastest_loop()
    assert make is not None
    loop = make()
    try:
        assert isinstance(loop, uvloop.Loop)
    finally:
        loop.close()


def test_the_operator_uses_the_asyncio_event_loop_if_uvloop_is_not_installed(without_uvloop):
    assert fastest_loop() is None


def test_the_operator_runs_on_uvloop():
    assert isinstance(built_in(), uvloop.Loop)


def test_the_operator_runs_on_asyncio_without_uvloop(without_uvloop):
    assert isinstance(built_in(), asyncio.SelectorEventLoop)
