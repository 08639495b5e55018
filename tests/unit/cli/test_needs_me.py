"""What `get --needs-me` lists of products of other teams: the answers that wait for one's own."""

from __future__ import annotations

from datetime import UTC, datetime

from sluicegate.cli.kubectl.needs import of_user, rows
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.apiserver.command_line import CommandLine
from tests.support.portfolio.products import condition, document, waiting_for_approval

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


def test_needs_me_lists_the_answer_of_the_own_role_only():
    team = {
        "members": [
            {"username": "riva", "role": "RiskOfficer"},
            {"username": "kim", "role": "DataScientist"},
        ]
    }
    product = asked(waitingFor=["DataProductManager", "RiskOfficer", "search/ranking"])
    product["spec"]["team"] = team
    (row,) = rows(of_user([product], "riva"), NOW, "riva")
    assert row[4].endswith("--for RiskOfficer")
    assert rows(of_user([product], "kim"), NOW, "kim") == []


def test_needs_me_names_the_review_to_sign_and_the_command_of_a_rejected_version():
    team = {"members": [{"username": "riva", "role": "RiskOfficer"}]}
    due = condition(
        "ReviewDue",
        "True",
        "ToReview",
        "pricing/pricing-2026-10 waits for a signature as RiskOfficer",
    )
    stalled = condition("Stalled", "True", "ModelRejected", "v2 was not promoted")
    refused = {
        "version": "v2", "image": "v2@sha256:0", "runtimeImage": "r@sha256:0", "outcome": "RolledBack",
        "reason": "ApprovalRefused", "outcomeTime": "2026-11-28T10:00:00Z",
    }  # fmt: skip
    status = {"conditions": [due, stalled], "specModel": refused}
    product = document("pricing", "pricing", status=status, spec={"team": team})
    assert [row[4] for row in rows(of_user([product], "riva"), NOW, "riva")] == [
        "kubectl sluicegate promote pricing/pricing v2",
        "kubectl sluicegate review sign pricing/pricing-2026-10",
    ]


async def test_needs_me_reads_the_upstreams_of_other_namespaces_as_far_as_the_person_may(tmp_path):
    async with ApiStandIn() as server:
        run = CommandLine(server, tmp_path)
        server.person = "ana"
        for product in (ranking(), asked(waitingFor=["search/ranking"])):
            server.keep(DATA_PRODUCTS, product)
        found = await run("get", "-n", "search", "--needs-me")
        assert "pricing" in found.out
        assert "--for search/ranking" in found.out

        server.refused.add(DATA_PRODUCTS.path("pricing", "pricing"))
        found = await run("get", "-n", "search", "--needs-me")
        assert (found.code, found.out) == (0, "")
        assert "No product needs a person." in found.err
