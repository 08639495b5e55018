"""CustomResourceDefinitions: what has to be waited for between theirs and their objects' apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HAS_CONDITIONS: Final = "jsonpath={.status.conditions[0]}"
ESTABLISHED: Final = "condition=Established"
TIMEOUT: Final = "--timeout=30s"


def wait_until_established(kubectl: Callable[..., str], *definitions: str) -> None:
    """Wait until the API server serves the kinds, at most a minute; ClusterError after that.

    Parameters
    ----------
    kubectl
        Runs kubectl with these arguments.
    definitions
        What names them to `kubectl wait`: `crd/NAME`, or `--filename=PATH`.
    """
    # Until the API server has processed a definition, the conditions of its status are null, and
    # to wait for one of them fails at once: "accessor error: <nil> is of the type <nil>".
    for state in (HAS_CONDITIONS, ESTABLISHED):
        kubectl("wait", f"--for={state}", TIMEOUT, *definitions)
