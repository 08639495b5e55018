"""The operator is installed whatever an earlier installation left."""

from __future__ import annotations

from cluster.identity import Identity
from cluster.kind import KindCluster
from demo.setup import forget_interrupted


def test_the_record_of_an_interrupted_installation_is_deleted_before_the_next_one(
    tmp_path, monkeypatch
):
    """Helm refuses each later one with 'another operation is in progress'."""
    monkeypatch.setenv("SLUICEGATE_CACHE", str(tmp_path))
    kind = KindCluster(Identity("mine"))
    kind.state.mkdir(parents=True)
    called, program = tmp_path / "called", kind.state / "kubectl"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{called}"\n')
    program.chmod(0o755)
    forget_interrupted(kind)
    words = called.read_text().splitlines()
    status = "status in (pending-install, pending-upgrade, pending-rollback)"
    assert words[words.index("delete") :] == [
        *("delete", "secrets", "--namespace=sluicegate-system"),
        f"--selector=owner=helm,name=sluicegate,{status}",
    ]
