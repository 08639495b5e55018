"""Settings of the operator that a command must share: those of its Deployment, then of this shell.

The length of an hour, of a scrape or of the wait after a block decide what the operator finds. A
command that takes them from a shell alone finds something else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.api.names import LABEL_COMPONENT, LABEL_NAME
from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import DEPLOYMENTS
from sluicegate.settings import Settings, parse_settings

PREFIX: Final = "SLUICEGATE_"
OPERATOR: Final = f"{LABEL_NAME}=sluicegate,{LABEL_COMPONENT}=operator"
"""Labels of the operator's Deployment in the chart."""
OF_THE_POD: Final = frozenset(
    {
        "SLUICEGATE_PROMETHEUS_URL", "SLUICEGATE_PROMETHEUS_TOKEN_FILE", "SLUICEGATE_PROMETHEUS_CA_FILE",
        "SLUICEGATE_PROMETHEUS_HEADERS_FILE", "SLUICEGATE_PROMETHEUS_PROXY_URL",
        "SLUICEGATE_NAMESPACE", "SLUICEGATE_POD_NAME",
    }
)  # fmt: skip
"""Variables that hold in the operator's pod only: addresses and files of its network and its disk."""


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """The operator's settings, with a sentence about their source."""

    settings: Settings
    source: str


async def operator_settings(
    environment: Mapping[str, str], namespace: str = ""
) -> OperatorSettings:
    """Read the settings of the operator's Deployment; a variable of `environment` has precedence.

    Without one Deployment that can be read, they are those of `environment` alone.

    Parameters
    ----------
    namespace : the operator's; empty for any.
    """
    try:
        async with kube_api() as api:
            pages = api.pages(DEPLOYMENTS, namespace=namespace, labels=OPERATOR)
            deployments = [item async for page in pages for item in page.items]
    except KubeError as error:
        return _of_shell(environment, f"the operator's Deployment can't be read: {error}")
    if len(deployments) != 1:
        number = f"{len(deployments)} Deployments have" if deployments else "no Deployment has"
        return _of_shell(environment, f"{number} the labels {OPERATOR}")
    (deployment,) = deployments
    values = dict(_variables(deployment))
    own_variables = {
        name: value for name, value in environment.items() if name.startswith(PREFIX) and value
    }
    place = f"{deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
    text = f"settings of the operator's Deployment {place}"
    if overridden := sorted(own_variables.keys() & values.keys()):
        text += f"; {', '.join(overridden)} of this shell"
    return OperatorSettings(parse_settings({**values, **environment}, refuse_unknown=False), text)


def namespace_of_operator(product: DataProduct) -> str:
    """Return the namespace of the operator that writes a product's status; empty before it has written."""
    operator = product.status.written_by
    return "" if operator is None else operator.namespace


def _of_shell(environment: Mapping[str, str], reason: str) -> OperatorSettings:
    text = f"settings of this shell (SLUICEGATE_*), as {reason}"
    return OperatorSettings(parse_settings(environment, refuse_unknown=False), text)


def _variables(deployment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the operator's environment variables that have a value and apply outside its pod."""
    pod = deployment.get("spec", {}).get("template", {}).get("spec", {})
    for container in pod.get("containers", ()):
        for variable in container.get("env", ()):
            name, value = variable.get("name", ""), variable.get("value")
            if name.startswith(PREFIX) and name not in OF_THE_POD and value:
                yield name, value
