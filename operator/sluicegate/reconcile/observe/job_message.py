"""How a Job of ours ended, in words: what its container left behind, or why there is nothing."""

import json
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from sluicegate.api.errors import problem
from sluicegate.api.names import DecisionReason
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.pods import TrainingExit
from sluicegate.runtime.redaction import redact
from sluicegate.views.numbers import duration

MESSAGE_LIMIT: Final = 1500
"""Characters of a Job's message and log tail that are kept in status."""
MOST_BYTES: Final = 4096
"""The kubelet cuts a termination message that is longer."""


@dataclass(frozen=True, slots=True)
class JobWords:
    """A kind of Job in sentences: its name, and the part of the spec that has its limits."""

    name: str
    field: str


def job_failure(job: JobRecord, ended: TrainingExit, words: JobWords) -> tuple[DecisionReason, str]:
    """Return why a Job failed: a reason and a sentence."""
    if job.reason == "DeadlineExceeded":
        # At its deadline a Job deletes the pods that run, and their status says no more.
        deleted = "its pod is deleted, so its last message is not known"
        said = deleted if ended.exit_code is None else _said(ended)
        limit = f" ({duration(job.deadline)})" if job.deadline else ""
        text = f"{words.name} took longer than {words.field}.timeoutSeconds{limit}; {said}"
        return DecisionReason.TIMED_OUT, text
    code = "never ran" if ended.exit_code is None else f"exited with {ended.exit_code}"
    if ended.reason == "OOMKilled":
        code += f" (OOMKilled): raise the memory limit in {words.field}.resources"
    elif ended.exit_code is None and job.message:
        code += f" ({job.message})"
    return DecisionReason.JOB_FAILED, f"{words.name} {code}; {_said(ended)}"


def tail(ended: TrainingExit) -> str:
    """Return the end of what a container left behind, as much as status keeps and people may read."""
    text = ended.readable.strip()
    return text if len(text) <= MESSAGE_LIMIT else f"…{text[-MESSAGE_LIMIT:]}"


def json_object(message: str) -> str:
    """Return the message, if it is one JSON object; ValueError says what it is instead."""
    if not message.strip():
        raise ValueError("it is empty")
    try:
        value: Any = json.loads(message)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        if len(message.encode()) >= MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES:,} bytes, and cut there") from error
        raise
    if not isinstance(value, dict):
        raise ValueError(f"it is a JSON {type(value).__name__}, not an object")  # noqa: TRY004
    return message


def why(error: ValueError) -> str:
    """Return why a message is no result."""
    if isinstance(error, ValidationError):
        problems = (str(problem(one)).removeprefix("Value error, ") for one in error.errors())
        return redact("; ".join(problems))
    return "it is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)


def _said(ended: TrainingExit) -> str:
    return f"message: {tail(ended)}" if ended.message.strip() else "it left no message"
