"""What containers leave behind when they end, as far as people may read it. Pure.

The kubelet copies the last lines of a container's log into the pod's status. They end up in status,
events, the portfolio page and messages, whose readers may not read logs, so credentials are removed
from them; a platform can also withhold them, and have only the command that shows the log.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluicegate.runtime.redaction import redact

TAIL_CHARACTERS: Final = 600
"""Of a log with a traceback that are shown behind its exception."""
EXCEPTION_CHARACTERS: Final = 300
"""Of the exception itself."""
_FRAME: Final = '  File "'
_EXCEPTION: Final = re.compile(r"(?:\w+\.)*\w+(?:: .*)?")
"""The line after the frames of a traceback, which are indented."""
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
    exception = "" if len(text) <= TAIL_CHARACTERS else _last_exception(text.splitlines())
    if not exception:
        return text
    if len(exception) > EXCEPTION_CHARACTERS:
        exception = f"{exception[:EXCEPTION_CHARACTERS]}…"
    return f"{exception}; the log ends with: …{text[-TAIL_CHARACTERS:]}"


def _last_exception(lines: Sequence[str]) -> str:
    """Return the exception of the last traceback, whose beginning may be cut off; empty without one."""
    frames = [index for index, line in enumerate(lines) if line.startswith(_FRAME)]
    later = lines[frames[-1] + 1 :] if frames else ()
    end = next((line for line in later if line and not line[0].isspace()), "")
    return end if _EXCEPTION.fullmatch(end) else ""


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
