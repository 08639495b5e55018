"""spec.inputs: the data that the model is served with and trained on, and what is expected of them."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, ObjectName, Rule
from sluicegate.api.slos import PromqlExpression

MAX_INPUTS = 4
"""Inputs of a product, as each costs a query of its own."""


class DataInput(ApiModel):
    """A feed or a table that the model depends on; its expression is read at the end of each block.

    The operator adds the namespace of the product to each selector. Of several series the largest
    value counts.
    """

    cel_rules: ClassVar = (
        Rule(
            cel="has(self.freshnessSeconds) || has(self.contract)",
            holds=lambda self: bool(self.freshness_seconds or self.contract),
            message="set freshnessSeconds where promql is the age of the newest data in seconds, or"
            " contract where it is the number of broken rules",
            field="freshnessSeconds",
        ),
    )

    name: ObjectName
    """Name of the input in messages."""
    contract: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Address or name of its data contract, e.g. of the Open Data Contract Standard."""
    freshness_seconds: Annotated[int, Field(ge=60, le=31_536_000)] | None = None
    """Age up to which its newest data are fresh: promql is then this age in seconds. Without it promql is
    the number of rules of the contract that are broken."""
    promql: PromqlExpression
    """Age of the newest data in seconds, as time() - max(feed_newest_row_timestamp_seconds), or number
    of broken rules, as max(contract_rules_broken)."""
