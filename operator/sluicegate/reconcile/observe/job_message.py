"""Message of an ended Job: its container's termination message, or why there is none."""

import json
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from sluicegate.api.errors import problem
from sluicegate.api.names import DecisionReason
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.log_tails import with_exception_first
from sluicegate.reconcile.live.pods import TrainingExit
from sluicegate.runtime.redaction import redact
from sluicegate.views.numbers import duration

MESSAGE_LIMIT: Final = 1500
"""Characters of a Job's message and log tail that are kept in status."""
MAX_BYTES: Final = 4096
"""The kubelet cuts a termination message that is longer."""


@dataclass(frozen=True, slots=True)
class JobDescription:
    """The texts for a kind of Job: its name, and the spec fields with its limits."""

    name: str
    field: str


def job_failure(
    job: JobRecord, training_exit: TrainingExit, words: JobDescription
) -> tuple[DecisionReason, str]:
    """Return why a Job failed: a reason and a sentence."""
    if job.reason == "DeadlineExceeded":
        # At its deadline a Job deletes the pods that run, and their status says no more.
        no_message_text = "its pod is deleted, so its last message is not known"
        exit_text = (
            no_message_text if training_exit.exit_code is None else _exit_text(training_exit)
        )
        limit = f" ({duration(job.deadline)})" if job.deadline else ""
        text = f"{words.name} took longer than {words.field}.timeoutSeconds{limit}; {exit_text}"
        return DecisionReason.TIMED_OUT, text
    code = (
        "never ran" if training_exit.exit_code is None else f"exited with {training_exit.exit_code}"
    )
    if training_exit.reason == "OOMKilled":
        code += f" (OOMKilled): raise the memory limit in {words.field}.resources"
    elif training_exit.exit_code is None and job.message:
        code += f" ({job.message})"
    return DecisionReason.JOB_FAILED, f"{words.name} {code}; {_exit_text(training_exit)}"


def exit_tail(training_exit: TrainingExit) -> str:
    """Return the end of a container's message: redacted, and as long as status allows."""
    text = with_exception_first(training_exit.readable.strip())
    return text if len(text) <= MESSAGE_LIMIT else f"…{text[-MESSAGE_LIMIT:]}"


def json_object(message: str) -> str:
    """Return the message as one JSON object; ValueError with its actual type otherwise."""
    if not message.strip():
        raise ValueError("it is empty")
    try:
        value: Any = json.loads(message)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        if len(message.encode()) >= MAX_BYTES:
            raise ValueError(f"it is longer than {MAX_BYTES:,} bytes, and cut there") from error
        raise
    if not isinstance(value, dict):
        raise ValueError(f"it is a JSON {type(value).__name__}, not an object")  # noqa: TRY004
    return message


def invalid_message_text(error: ValueError) -> str:
    """Return why a message is no valid result."""
    if isinstance(error, ValidationError):
        problems = (
            str(problem(error_details)).removeprefix("Value error, ")
            for error_details in error.errors()
        )
        return redact("; ".join(problems))
    return "it is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)


def _exit_text(training_exit: TrainingExit) -> str:
    return (
        f"message: {exit_tail(training_exit)}"
        if training_exit.message.strip()
        else "it left no message"
    )
