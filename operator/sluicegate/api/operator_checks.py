"""What the schema can't say: whether a spec fits this operator, and what it leaves open."""

from collections.abc import Iterator

from sluicegate.api.containers import quantity_number
from sluicegate.api.pod_types import check_pod_fields
from sluicegate.api.product import DataProductSpec
from sluicegate.api.product_info import Lifecycle
from sluicegate.api.promql_text import UnboundPromql
from sluicegate.errors import Problem
from sluicegate.settings import Settings

SCRAPES_PER_BLOCK = 4


def runtime_image(spec: DataProductSpec, settings: Settings) -> str:
    """Return the runtime image for a new version of the product; empty if none is configured."""
    return spec.serving.runtime_image or settings.default_runtime_image


def is_pinned(image: str) -> bool:
    """Return whether an image is named by digest, so that its content can't change."""
    return "@sha256:" in image


def check_context(spec: DataProductSpec, settings: Settings) -> tuple[Problem, ...]:
    """Return all problems by which this operator can't serve the spec; empty without any."""
    return (
        *_check_runtime(spec, settings),
        *_check_blocks(spec, settings),
        *check_promql(spec),
        *check_spec_fields(spec),
    )


def check_spec_fields(spec: DataProductSpec) -> tuple[Problem, ...]:
    """Return the problems of parts of pod specs: too large ones, and requests above limits."""
    template = spec.retraining.pod_template if spec.retraining else None
    return (
        *_check_resources(spec),
        *check_pod_fields(spec.serving.pod_fields(), "spec.serving"),
        *(check_pod_fields(template.to_dict()) if template is not None else ()),
    )


def _check_resources(spec: DataProductSpec) -> Iterator[Problem]:
    """Yield the requests that exceed their limit: the API server refuses such a pod once it is needed."""
    resources_by_path = {"spec.serving.resources": spec.serving.resources}
    if spec.retraining is not None:
        resources_by_path["spec.retraining.resources"] = spec.retraining.resources
    if spec.rollout.shadow is not None:
        resources_by_path["spec.rollout.shadow.resources"] = spec.rollout.shadow.resources
    for path, resources in resources_by_path.items():
        for name, request in resources.requests.items():
            limit = resources.limits.get(name, request)
            if quantity_number(request) > quantity_number(limit):
                yield Problem(
                    f"{path}.requests.{name}",
                    f"is {request}, and limits.{name} is {limit}: raise the limit, or lower the request",
                )


def _check_runtime(spec: DataProductSpec, settings: Settings) -> Iterator[Problem]:
    image, path = runtime_image(spec, settings), "spec.serving.runtimeImage"
    if not image:
        yield Problem(
            path, "is required, as the operator has no SLUICEGATE_DEFAULT_RUNTIME_IMAGE: set it"
        )
    elif spec.lifecycle is Lifecycle.PRODUCTION and not is_pinned(image):
        yield Problem(
            path, f'is "{image}", but in Production it must be named by digest: add @sha256:…'
        )


def check_promql(spec: DataProductSpec) -> Iterator[Problem]:
    """Yield the expressions that are invalid PromQL or can't be bound to a namespace."""
    for path, expression in _promql_expressions(spec):
        from sluicegate.api.bound_promql import bind_promql  # noqa: PLC0415 - its parser takes memory

        try:
            bind_promql(expression, "of-the-product", spec.analysis.block_seconds)
        except UnboundPromql as error:
            yield Problem(path, str(error))


def _promql_expressions(spec: DataProductSpec) -> Iterator[tuple[str, str]]:
    """Yield each expression of PromQL with its path."""
    for number, slo in enumerate(spec.slos):
        if (ratio := slo.indicator.promql) is not None:
            yield f"spec.slos[{number}].indicator.promql.good", ratio.good
            yield f"spec.slos[{number}].indicator.promql.total", ratio.total
    for number, source in enumerate(spec.inputs):
        yield f"spec.inputs[{number}].promql", source.promql


def _check_blocks(spec: DataProductSpec, settings: Settings) -> Iterator[Problem]:
    minimum_seconds = SCRAPES_PER_BLOCK * settings.scrape_interval_seconds
    if spec.slos and spec.analysis.block_seconds < minimum_seconds:
        yield Problem(
            "spec.analysis.blockSeconds",
            f"is {spec.analysis.block_seconds}, but a block needs {SCRAPES_PER_BLOCK} scrapes of"
            f" {settings.scrape_interval_seconds:g} s: set it to at least {minimum_seconds:g}",
        )
