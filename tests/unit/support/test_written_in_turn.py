"""What the audit log proves of two operators that write one after the other."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.apiserver.scaled_products import KINDS, ScaledProducts

if TYPE_CHECKING:
    from pathlib import Path

SERVED = [(kind, user, 200) for user in ("old", "new") for kind in KINDS]


def products(folder: Path, *writes: tuple[str, str, int], late: str = "") -> ScaledProducts:
    """One product, and the log of writes to its objects, by kind, user and code.

    `late` is the query of one more write, a patch of a Deployment by the first user after all others.
    """
    log = folder / "audit.log"
    entries = [entry(number, *one) for number, one in enumerate(writes)]
    if late:
        entries.append(entry(len(writes), "deployments", "old", 200, query=late))
    lines = map(json.dumps, entries)
    log.write_text("".join(f"{line}\n" for line in lines))
    plane: Any = SimpleNamespace(audit_log=log)
    return ScaledProducts(plane, "catalog", 1)


def entry(second: int, kind: str, user: str, code: int, *, query: str = "") -> dict[str, Any]:
    return {
        "user": {"username": user},
        "requestURI": f"/apis/example/{kind}/p0{query}",
        "verb": "patch",
        "stage": "ResponseComplete",
        "objectRef": {"resource": kind, "namespace": "catalog", "name": "p0"},
        "responseStatus": {"code": code},
        "stageTimestamp": f"2026-01-01T00:00:{second:02}Z",
    }


def test_writes_of_two_replicas_in_turn_pass_the_check(tmp_path):
    products(tmp_path, *SERVED).assert_written_in_turn("old", "new")


def test_a_stored_write_without_a_response_counts_as_work(tmp_path):
    """The API server stores a Service, and answers 504; so no operator writes it again."""
    writes = [(kind, user, 504 if kind == "services" else 200) for kind, user, _ in SERVED]
    products(tmp_path, *writes).assert_written_in_turn("old", "new")


def test_a_late_dry_run_of_a_former_leader_counts_as_no_write(tmp_path):
    """The kernel sends it again once a cut link is back; it has no precondition, and stores nothing."""
    products(tmp_path, *SERVED, late="?dryRun=All").assert_written_in_turn("old", "new")


@pytest.mark.parametrize(
    "writes",
    [
        pytest.param([*SERVED, ("services", "old", 200)], id="the first wrote after the second"),
        pytest.param([one for one in SERVED if one[0] != "services"], id="a kind without writes"),
        pytest.param(
            [(kind, user, 409 if kind == "services" else 200) for kind, user, _ in SERVED],
            id="a kind whose writes were all refused",
        ),
        pytest.param(
            [one for one in SERVED if one != ("deployments", "old", 200)],
            id="one user wrote no Deployment",
        ),
    ],
)
def test_writes_without_a_provable_turn_fail_the_check(tmp_path, writes):
    with pytest.raises(AssertionError):
        products(tmp_path, *writes).assert_written_in_turn("old", "new")
