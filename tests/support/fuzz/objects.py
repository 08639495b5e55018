"""Objects that no client writes: each is refused with words, or acts on its own product alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct, read_status
from sluicegate.manifests.plan import initial_children, spec_version
from sluicegate.reviews.store import parse_review
from sluicegate.settings import Settings
from tests.support.decisions.reviewed import month
from tests.support.fuzz.mutations import mutated
from tests.support.samples.product_examples import example, full_status

if TYPE_CHECKING:
    from random import Random

SETTINGS = Settings()
RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"


def check_object(random: Random) -> bool:
    """Return whether a mutated DataProduct is accepted; a mutated status and review are read beside it.

    Raises
    ------
    AssertionError
        It makes an object outside of its product's namespace or name.
    """
    metadata = example()["metadata"]
    document = mutated(example(), random) | {"metadata": metadata}
    read_status(mutated(full_status(), random))
    review = month(11, wrong=0.08)
    parse_review(mutated(review, random) | {"metadata": review["metadata"]})
    try:
        product = DataProduct.parse(document)
    except InvalidProduct:
        return False
    for child in initial_children(product, spec_version(product, RUNTIME), SETTINGS):
        assert_own(child, metadata)
    return True


def assert_own(child: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Check that an object belongs to the product with this metadata, and can be sent."""
    json.dumps(child, allow_nan=False).encode()
    assert child["metadata"]["namespace"] == metadata["namespace"], child["metadata"]
    name = child["metadata"]["name"]
    assert name == metadata["name"] or name.startswith(f"{metadata['name']}-"), name
