"""The newest blocks of a product and its consumers, as inputs of a decision."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.measurement.consumer_blocks import ConsumerMeasurements
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.measurement.store import Measurements
from sluicegate.policy.model.consumer_inputs import consumer_reading
from sluicegate.policy.model.inputs import Surroundings, observed
from sluicegate.policy.model.observed import NO_OTHER_PRODUCTS, Facts, Observed
from sluicegate.prometheus.block_reader import BlockReader
from sluicegate.prometheus.client import Prometheus
from sluicegate.settings import Settings
from sluicegate.wiring import endpoint_of, evaluation_settings, timing_of


async def read_newest(
    product: DataProduct, settings: Settings, consumers: Sequence[DataProduct]
) -> Observed:
    """Read the blocks of the product and its consumers; inputs of the cluster are left out."""
    timing = timing_of(settings)
    measurements = Measurements(timing)
    now = time.time()
    for followed in (product, *consumers):
        measurements.follow(followed, now)
    async with Prometheus(endpoint_of(settings)) as prometheus:
        await measurements.read(BlockReader(prometheus, evaluation_settings(settings, timing)), now)
    own = ProductBlocks(measurements, product)
    stores = (
        (consumer, ConsumerMeasurements(own, ProductBlocks(measurements, consumer), int(now)))
        for consumer in consumers
    )
    read = (consumer_reading(one, product.metadata.key, store) for one, store in stores)
    readings = tuple(reading for reading in read if reading is not None)
    return observed(own.measured(now), replace(UNREAD, consumer_readings=readings))


UNREAD: Final = Surroundings(
    desired=None,
    withheld="",
    desired_evaluation={},
    training=None,
    shadow=None,
    facts=replace(Facts(), complete=False),
    rollout=None,
    portfolio=NO_OTHER_PRODUCTS,
    requests=(),
    answers=(),
    consumers=(),
    consumer_readings=(),
    absences=(),
    term=0,
)
"""Inputs that only the cluster has."""
