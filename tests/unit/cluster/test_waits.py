"""The waits of a start: they look again, and end early when waiting on is pointless."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cluster.apiclient import answers, listens, wait_until
from cluster.errors import StartError


def test_a_socket_file_left_by_a_killed_program_does_not_count_as_ready(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has at most 107 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("left")
        assert not listens(Path("left"))
        server.listen()
        assert listens(Path("left"))

    assert (tmp_path / "left").exists()
    assert not listens(Path("left"))
    assert not listens(Path("never"))


def test_an_unreachable_server_counts_as_not_ready():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        assert not answers(f"http://127.0.0.1:{reserved.getsockname()[1]}/ready")


def test_a_wait_ends_early_with_the_reason_if_it_cannot_succeed():
    def failed() -> Exception:
        return StartError("etcd ended")

    with pytest.raises(StartError, match="etcd ended"):
        wait_until(lambda: False, seconds=60, failed=failed, problem="not ready")


def test_a_wait_that_times_out_names_its_condition():
    with pytest.raises(StartError, match="the node was not Ready within 0 s"):
        wait_until(lambda: False, seconds=0, failed=lambda: None, problem="the node was not Ready")


def test_a_wait_polls_until_its_condition_holds():
    seen = iter([False, False, True])

    wait_until(lambda: next(seen), seconds=60, failed=lambda: None, problem="it")

    assert list(seen) == []
