"""What containers leave behind when they end, as far as people may read it. Pure.

The kubelet copies the last lines of a container's log into the pod's status. They end up in status,
events, the portfolio page and messages, whose readers may not read logs, so credentials are removed
from them; a platform can also withhold them, and have only the command that shows the log.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from sluicegate.runtime.redaction import redact

TAIL_CHARACTERS: Final = 600
"""Of a log with a traceback that are shown behind its exception."""
_EXCEPTION: Final = re.compile(
    r"^(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit)(?:: .*)?$", re.MULTILINE
)
"""A line of Python's that names an exception; the lines of its traceback are indented."""
_STATUSES: Final = ("initContainerStatuses", "containerStatuses")


def with_redacted_messages(
    body: Mapping[str, Any], *, with_tails: bool, own_container: str
) -> Mapping[str, Any]:
    """Return a Pod with credentials redacted in its containers' messages.

    The message of a container that succeeded stays: it is a result for the operator.

    Parameters
    ----------
    tails : show the last lines of logs, without credentials.
    own_container : name of a container of the operator's own, whose message is never a log.
    """
    status = dict(body.get("status") or {})
    for field in _STATUSES:
        if containers := status.get(field):
            status[field] = [
                _container(
                    container,
                    body["metadata"],
                    with_tails=with_tails or container["name"] == own_container,
                )
                for container in containers
            ]
    return {**body, "status": status}


def with_exception_first(text: str) -> str:
    """Return a log's end; a long one with a traceback as its last exception, then its last characters."""
    exceptions = _EXCEPTION.findall(text)
    if len(text) <= TAIL_CHARACTERS or not exceptions:
        return text
    return f"{exceptions[-1]}; the log ends with: …{text[-TAIL_CHARACTERS:]}"


def log_command(metadata: Mapping[str, Any], container: str, *, previous: bool = False) -> str:
    """Return the command that shows a container's log, in place of its last lines."""
    option = " --previous" if previous else ""
    return (
        "the operator withholds log lines (SLUICEGATE_SHOW_LOG_TAILS is false): see kubectl logs"
        f" --namespace {metadata.get('namespace', '')} {metadata.get('name', '')}"
        f" --container {container}{option}"
    )


def _container(
    container: Mapping[str, Any], metadata: Mapping[str, Any], *, with_tails: bool
) -> Mapping[str, Any]:
    changed = dict(container)
    for name in ("state", "lastState"):
        state = dict(container.get(name) or {})
        for phase, content in state.items():
            message = (content or {}).get("message")
            if not message or (phase == "terminated" and not content.get("exitCode")):
                continue
            text = redact(message)
            if phase == "terminated" and not with_tails:
                text = log_command(metadata, container["name"], previous=name == "lastState")
            state[phase] = {**content, "message": text}
        if state:
            changed[name] = state
    return changed
