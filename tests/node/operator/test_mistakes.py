"""A mistake in a DataProduct is refused by `kubectl apply`, by its field."""

from __future__ import annotations

import json
import re

import pytest

from cluster.errors import ClusterError
from tests.support.samples.product_examples import changed
from tests.support.samples.product_rules import RULES

pytestmark = pytest.mark.timeout(120)


def dotted(text):
    """Return both ways to write an item of a list or map, as one: a[0].b and a.0.b."""
    return re.sub(r"\[([^\]]*)\]", r".\1", text)


def test_kubectl_apply_reports_the_invalid_field_and_the_way_out(cluster, where):
    """One of the rules, all of which tests/apiserver asks the same API server for."""
    case = RULES[0]
    document = changed(case.refused)
    document["metadata"]["namespace"] = "default"

    with pytest.raises(ClusterError) as refused:
        cluster.run_kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(document))

    said = dotted(str(refused.value))
    assert dotted(case.at) in said
    assert case.says in said
