"""Programs that outlive the command that started them: found, ended, never mistaken."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from cluster.errors import DiskFullError, StartError
from cluster.processes import Command, Process, Processes, has_ended, is_identifiable, start_time
from tests.support.waiting import eventually


@pytest.fixture
def processes(tmp_path):
    started = Processes(tmp_path)
    yield started
    started.stop_all(grace=0.0)


def sleeper(name: str = "sleeper", seconds: str = "600") -> Command:
    return Command(name, ("sleep", seconds))


def test_a_started_program_is_found_by_another_command(processes, tmp_path):
    processes.start(sleeper())

    assert Processes(tmp_path).is_alive("sleeper")
    assert Processes(tmp_path).names() == ["sleeper"]


def test_a_program_that_runs_with_the_desired_command_is_not_restarted(processes):
    assert processes.ensure(sleeper())
    first = processes.find("sleeper")

    assert not processes.ensure(sleeper())
    assert processes.find("sleeper") == first


def test_a_program_whose_command_changed_is_replaced(processes):
    processes.ensure(sleeper())
    first = processes.find("sleeper")

    assert processes.ensure(sleeper(seconds="601"))
    assert not first.is_alive()
    assert processes.is_alive("sleeper")


def test_a_program_that_was_killed_is_started_again(processes):
    processes.ensure(sleeper())
    os.kill(processes.find("sleeper").pid, signal.SIGKILL)
    eventually(lambda: not processes.is_alive("sleeper"))

    assert processes.ensure(sleeper())


def test_a_program_that_ignores_sigterm_is_killed(processes):
    processes.start(
        Command("stubborn", ("sh", "-c", "trap '' TERM; echo on; sleep 600 & wait; wait"))
    )
    eventually(lambda: "on" in processes.log("stubborn").read_text())
    process = processes.find("stubborn")

    processes.stop("stubborn", grace=0.2)

    assert not process.is_alive()


def test_a_suspended_program_can_be_ended(processes):
    processes.start(sleeper())
    process = processes.find("sleeper")
    process.signal(signal.SIGSTOP)

    processes.stop("sleeper", grace=5.0)

    assert not process.is_alive()


# A killed program is like this for as long as its threads take to end.
FIRST_THREAD_ENDED = """\
import ctypes, socket, threading
listening = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=threading.Event().wait).start()
print(listening.getsockname()[1], flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_program_whose_first_thread_has_ended_is_alive_until_the_last_has(processes):
    processes.start(Command("threads", (sys.executable, "-c", FIRST_THREAD_ENDED)))
    process = processes.find("threads")
    eventually(lambda: state(process.pid) == "Z")
    port = int(processes.log("threads").read_text())

    assert process.is_alive()
    processes.stop("threads", grace=0.0)

    assert not process.is_alive()
    with socket.create_server(("127.0.0.1", port)):
        pass


def state(pid: int) -> str:
    """Return the kernel's letter for what the first thread of a process does."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_id_reused_by_another_process_is_never_signalled(processes):
    processes.start(sleeper())
    real = processes.find("sleeper")
    stale = Process(pid=real.pid, started=real.started - 1, key="old")

    stale.stop(grace=0.1)

    assert not stale.is_alive()
    assert real.is_alive()


def test_a_process_that_has_ended_has_no_start_time():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

    assert start_time(child) is None
    assert start_time(os.getpid()) is not None


def test_a_program_whose_record_was_never_written_is_replaced(processes, tmp_path):
    forgotten = processes.start(sleeper())
    (tmp_path / "processes" / "sleeper.json").unlink()

    processes.start(sleeper())

    assert not forgotten.is_alive()
    assert processes.is_alive("sleeper")


@pytest.mark.slow
def test_a_process_is_identified_by_its_mark_as_soon_as_it_started(processes):
    unidentified = []
    for _ in range(200):
        pid = processes.start(sleeper()).pid  # in place of the one before
        unidentified += [] if is_identifiable(pid) else [pid]
    assert not unidentified


def test_the_same_command_in_another_folder_is_not_affected(processes, tmp_path):
    other = Processes(tmp_path / "other")
    theirs = other.start(sleeper())

    processes.start(sleeper())
    processes.stop_all(grace=0.0)

    assert theirs.is_alive()
    other.stop_all(grace=0.0)
    assert not theirs.is_alive()


def test_stopping_all_ends_unrecorded_programs_and_their_children(processes, tmp_path):
    forgotten = processes.start(Command("parent", ("sh", "-c", "sleep 600 & echo $!; wait")))
    eventually(lambda: processes.log("parent").read_text().endswith("\n"))
    child = int(processes.log("parent").read_text())
    (tmp_path / "processes" / "parent.json").unlink()

    processes.stop_all(grace=0.0)

    assert not forgotten.is_alive()
    assert has_ended(child)


def test_the_failure_of_a_program_has_the_end_of_its_log(processes):
    processes.start(Command("loud", ("sh", "-c", "echo first; echo 'address already in use'")))
    eventually(lambda: not processes.is_alive("loud"))

    error = processes.failure("loud", "ended")

    assert isinstance(error, StartError)
    assert "address already in use" in str(error)
    assert str(processes.log("loud")) in str(error)


def test_a_program_that_failed_on_a_full_disk_is_reported_with_that_reason(processes):
    said = "write /var/x: no space left on device"
    processes.start(Command("full", ("sh", "-c", f"echo '{said}'")))
    eventually(lambda: not processes.is_alive("full"))

    error = processes.failure("full", "ended")

    assert isinstance(error, DiskFullError)
    assert "SLUICEGATE_CACHE" in str(error)
