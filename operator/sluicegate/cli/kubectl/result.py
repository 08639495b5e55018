"""What an action came to, in each format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sluicegate.cli.kubectl.waiting import FAILED, REACHED, TIMED_OUT
from sluicegate.cli.printing.output import document, write, write_names
from sluicegate.kube.resources import key_of
from sluicegate.views import product as facts
from sluicegate.views.plain_text import clean_text

if TYPE_CHECKING:
    from sluicegate.cli.kubectl.waiting import WaitResult

MARKS: Final = {REACHED: "✔", FAILED: "✖"}


def report(
    product: dict[str, Any], outcome: WaitResult, *, action: str, request: str, output: str
) -> int:
    """Print the outcome of an action on a product, and return its exit code."""
    key = key_of(product)
    code = TIMED_OUT if outcome.code is None else outcome.code
    if output == "name":
        write_names([product])
    elif output == "table":
        print(clean_text(f"{MARKS.get(code, '◌')} {key}: {outcome.message}"))
        if trial := facts.candidate(product):
            print(clean_text(f"  candidate {facts.step_line(trial)}"))
    else:
        answer = document(
            "ActionResult", namespace=key.namespace, name=key.name, action=action, request=request,
            code=code, message=outcome.message,
            decision=facts.section(product, "status", "decision"),
        )  # fmt: skip
        write(answer, output)
    return code
