"""What `get --needs-me` lists of products of other teams: the answers that wait for one's own."""

from __future__ import annotations

from datetime import UTC, datetime

from sluicegate.cli.kubectl.needs import of_user, rows
from tests.support.portfolio.products import document, waiting_for_approval

NOW = datetime(2026, 11, 28, 11, tzinfo=UTC)


def asked(**approvals):
    status = waiting_for_approval()
    status["candidate"]["approvals"] = {
        "id": "0-1", "waitStartTime": "2026-11-28T10:00:00Z", **approvals,
    }  # fmt: skip
    return document("pricing", "pricing", status=status)


def ranking(user="ana"):
    team = {"members": [{"username": user, "role": "DataProductManager"}]}
    return document(
        "ranking",
        "search",
        spec={"team": team, "dependsOn": [{"name": "pricing", "namespace": "pricing"}]},
    )


def test_needs_me_lists_approvals_of_the_own_consumers_only():
    found = of_user(
        [asked(waitingFor=["RiskOfficer", "search/ranking", "search/other"]), ranking()], "ana"
    )
    (row,) = rows(found, NOW, "ana")
    assert row[:4] == ["pricing", "pricing", "Waits for approval", "60m"]
    assert row[4].endswith("--for search/ranking")


def test_needs_me_lists_approvals_of_consumers_beyond_the_size_limit_of_status():
    found = of_user([asked(waitingFor=["search/other"], moreWaiting=2), ranking()], "ana")
    (row,) = rows(found, NOW, "ana")
    assert "2 more" in row[5]


def test_needs_me_lists_no_approval_of_another_team():
    assert of_user([asked(waitingFor=["search/ranking"]), ranking("kim")], "ana") == []
