"""A training runs as a ServiceAccount only if that one's owner allows it."""

from __future__ import annotations

import pytest

from sluicegate.kube.errors import NotFound
from sluicegate.kube.resources import SERVICE_ACCOUNTS, Key
from sluicegate.reconcile.observe.training_account import account_problem
from tests.support.decisions.rollout_world import World, document

ALLOWED = {"sluicegate.dev/allow-training": "true"}


class Api:
    """Knows one ServiceAccount, or none."""

    def __init__(self, labels):
        self.labels, self.asked = labels, []

    async def get(self, resource, key):
        assert resource == SERVICE_ACCOUNTS
        self.asked.append(key)
        if self.labels is None:
            raise NotFound("no such ServiceAccount")
        return {"metadata": {"name": key.name, "labels": self.labels}}


def observation(account):
    retraining = {"command": ["train"], "output": "registry.example/bentos/search"}
    if account:
        retraining["serviceAccountName"] = account
    return World(spec=document(retraining=retraining)).observation()


async def verdict(labels, account="trainer"):
    api = Api(labels)
    return await account_problem(api, observation(account).product), api.asked


async def test_a_labelled_service_account_may_train():
    found, asked = await verdict(ALLOWED)
    assert found is None
    assert asked == [Key("catalog", "trainer")]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({}, "lacks the label sluicegate.dev/allow-training"),
        ({"sluicegate.dev/allow-training": "false"}, "lacks the label"),
        ({"sluicegate.dev/allow-training": "True"}, "lacks the label"),
        (None, "there is no ServiceAccount catalog/trainer"),
    ],
    ids=["no label", "false", "another spelling", "absent"],
)
async def test_an_unlabelled_service_account_stalls_the_product_and_names_the_field(labels, says):
    found, _ = await verdict(labels)
    assert (found.type, found.status, found.reason) == (
        "Stalled",
        "True",
        "ForbiddenServiceAccount",
    )
    assert found.message.startswith("spec.retraining.serviceAccountName: ")
    assert says in found.message


async def test_without_a_service_account_no_access_review_is_sent():
    assert await verdict(None, account=None) == (None, [])
