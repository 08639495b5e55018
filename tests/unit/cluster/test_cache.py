"""The cache: nothing half-made is ever found in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.builds import Recipe, elapsed, program
from cluster.cache import cache_folder, fresh_folder, locked, write_atomically
from cluster.errors import BuildError, DiskFullError, require_space

REPOSITORY = Path(__file__).resolve().parents[3]
HOLDER = (
    "from cluster.cache import locked\nwith locked('x'):\n    print('held', flush=True); input()"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SLUICEGATE_CACHE", str(tmp_path / "cache"))


def test_the_configured_cache_folder_is_used_and_created(tmp_path):
    assert cache_folder() == tmp_path / "cache"
    assert cache_folder().is_dir()


def test_the_default_cache_folder_follows_xdg(tmp_path, monkeypatch):
    monkeypatch.delenv("SLUICEGATE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    assert cache_folder() == tmp_path / "xdg" / "sluicegate"


def test_a_cached_folder_is_created_atomically(tmp_path):
    with fresh_folder(tmp_path / "made") as scratch:
        (scratch / "file").write_text("content")
        assert not (tmp_path / "made").exists()

    assert (tmp_path / "made" / "file").read_text() == "content"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".made")] == []


def test_an_interrupted_creation_leaves_no_cached_folder(tmp_path):
    def make() -> None:
        with fresh_folder(tmp_path / "made") as scratch:
            (scratch / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make()

    assert list(tmp_path.glob("*made*")) == []


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    write_atomically(tmp_path / "secret", "one", mode=0o600)
    write_atomically(tmp_path / "secret", "two", mode=0o600)

    assert (tmp_path / "secret").read_text() == "two"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_second_builder_waits_with_a_message_and_a_killed_one_releases_the_lock():
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    said: list[str] = []

    def on_wait() -> None:
        said.append("waiting")
        holder.kill()

    with locked("x", on_wait=on_wait):
        assert said == ["waiting"]
    holder.communicate()


def test_too_little_disk_space_is_reported_before_any_write(tmp_path):
    with pytest.raises(DiskFullError, match="SLUICEGATE_CACHE") as error:
        require_space(tmp_path, 10**9, "build kube")

    assert str(tmp_path) in str(error.value)


def test_an_unknown_program_is_reported_with_the_known_ones():
    with pytest.raises(BuildError, match=r"known are .*etcd.*kubectl"):
        program("kubernetes")


def test_a_built_program_is_reused_from_the_cache(capfd):
    first = program("pause")
    capfd.readouterr()

    assert program("pause") == first
    assert capfd.readouterr().err == ""
    assert first.name == "pause"


def test_a_failed_build_shows_the_compiler_output_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "cluster.builds.recipes", lambda: {"bad": Recipe("pause", "", package="./no")}
    )

    with pytest.raises(BuildError, match="no: "):
        program("bad")

    assert list((cache_folder() / "programs" / "bad").iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.4, "4 s"), (60, "1 min 0 s"), (405, "6 min 45 s")]
)
def test_durations_are_printed_in_readable_units(seconds, text):
    assert elapsed(seconds) == text
