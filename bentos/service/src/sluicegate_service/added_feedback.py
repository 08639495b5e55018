"""The route /feedback of a service that has none of its own."""

from typing import Any, Final

import bentoml

from sluicegate_service.feedback import Feedback, Label

NAME: Final = "sluicegate_feedback"


def add_feedback(service: Any, feedback: Feedback) -> None:
    """Add the route to a service of BentoML; call it before `to_asgi`."""

    @bentoml.api(name=NAME, route="/feedback")  # type: ignore[untyped-decorator]
    async def sluicegate_feedback(
        self: Any,  # noqa: ARG001 - BentoML passes the service
        labels: list[Label],
        ctx: bentoml.Context,
    ) -> dict[str, Any]:
        """Receive the true outcomes of predictions, identified by their tokens."""
        answer = feedback.receive(labels, ctx.request.headers.get("authorization"))
        ctx.response.status_code = int(answer.status)
        return answer.body

    setattr(service.inner, NAME, sluicegate_feedback)
    service.apis[NAME] = sluicegate_feedback
