"""The waits of a start: they look again, and end early when waiting on is pointless."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cluster.apiclient import answers, listens, wait_until
from cluster.errors import StartError


def test_a_socket_file_that_a_killed_program_left_does_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has at most 107 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("left")
        assert not listens(Path("left"))
        server.listen()
        assert listens(Path("left"))

    assert (tmp_path / "left").exists()
    assert not listens(Path("left"))
    assert not listens(Path("never"))


def test_a_server_that_is_not_there_has_no_answer():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        assert not answers(f"http://127.0.0.1:{reserved.getsockname()[1]}/ready")


def test_a_wait_ends_with_the_reason_when_waiting_on_is_pointless():
    def failed() -> Exception:
        return StartError("etcd ended")

    with pytest.raises(StartError, match="etcd ended"):
        wait_until(lambda: False, seconds=60, failed=failed, what="not ready")


def test_a_wait_that_takes_too_long_says_for_what():
    with pytest.raises(StartError, match="the node was not Ready within 0 s"):
        wait_until(lambda: False, seconds=0, failed=lambda: None, what="the node was not Ready")


def test_a_wait_looks_again_until_it_holds():
    seen = iter([False, False, True])

    wait_until(lambda: next(seen), seconds=60, failed=lambda: None, what="it")

    assert list(seen) == []
