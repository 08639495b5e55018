"""`sluicegate tree`: a product with its versions, and the objects that each of them has."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.names import LABEL_PRODUCT, LABEL_REVISION
from sluicegate.cli.kubectl.session import Session, add_product, opened
from sluicegate.cli.printing.output import Document, add_output, document, write, write_names
from sluicegate.kube.errors import Forbidden, NotFound
from sluicegate.kube.resources import (
    DATA_PRODUCT_REVIEWS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SERVICES,
    Key,
    Resource,
)
from sluicegate.views import product as facts
from sluicegate.views.plain_text import clean_text

KINDS: Final = (
    DEPLOYMENTS, PODS, SERVICES, HTTP_ROUTES, HORIZONTAL_POD_AUTOSCALERS, POD_DISRUPTION_BUDGETS,
    JOBS, DATA_PRODUCT_REVIEWS,
)  # fmt: skip
MARKS: Final = {"": " ", "ok": "✔", "failed": "✖", "waiting": "◌"}
"""A mark beside the words of a state, which say the same."""


@dataclass(slots=True)
class TreeNode:
    """An object or a version with its children; `state` is a key of MARKS."""

    kind: str
    name: str
    state: str = ""
    message: str = ""
    children: list["TreeNode"] = field(default_factory=list)

    def document(self) -> Document:
        """Return the node for JSON."""
        return {
            "kind": self.kind, "name": self.name, "state": self.state or "none",
            "message": self.message, "children": [child.document() for child in self.children],
        }  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_product(parser)
    add_output(parser)
    parser.epilog = "Exit codes: 0 done, 1 failed, 2 wrong input."


def run(args: argparse.Namespace) -> int:
    """Print the tree."""
    with opened(args) as session:
        key = session.key(args.product)
        product = session.product(key)
        objects, hidden_kinds = _objects(session, key)
    root = tree(product, objects)
    root.children += [
        TreeNode(
            hidden_kind.kind,
            f"({hidden_kind.plural})",
            "",
            f"not shown: you may not list {hidden_kind.qualified}",
        )
        for hidden_kind in hidden_kinds
    ]
    if args.output == "name":
        write_names([product])
    elif args.output in {"table", "wide"}:
        print("\n".join(lines(root)))
    else:
        write(document("ProductTree", namespace=key.namespace, root=root.document()), args.output)
    return 0


def _objects(session: Session, key: Key) -> tuple[dict[str, list[facts.Body]], list[Resource]]:
    """Return the product's objects by kind, and the kinds that the person may not list."""
    objects: dict[str, list[facts.Body]] = {}
    hidden_kinds: list[Resource] = []
    labels = f"{LABEL_PRODUCT}={key.name}"
    for resource in KINDS:
        try:
            objects[resource.kind] = list(
                session.client.items(resource, namespace=key.namespace, labels=labels)
            )
        except Forbidden:
            hidden_kinds.append(resource)
        except NotFound:
            continue  # the kind isn't installed: a cluster without Gateway API
    return objects, hidden_kinds


def tree(product: facts.Body, objects: Mapping[str, list[facts.Body]]) -> TreeNode:
    """Return the product with its versions and their objects, then the objects shared by all versions."""
    status, name = facts.section(product, "status"), product["metadata"]["name"]
    state = facts.state_of(product)
    mark = {"Healthy": "ok", "Degraded": "failed", "Degrading": "waiting"}.get(state, "")
    root = TreeNode("DataProduct", name, mark, state)
    trial = facts.section(status, "candidate")
    if stable := facts.section(status, "stable"):
        text = f"stable, {100 - facts.share_in_force(trial)} % of the traffic"
        root.children.append(_version(stable, "ok", text, objects))
    if trial:
        text = f"{trial.get('phase')}, {facts.share_in_force(trial)} % of the traffic"
        node = _version(trial, "waiting", text, objects)
        node.children += _parties(trial)
        root.children.append(node)
    revisions = {version.get("revision") for version in (stable, trial) if version}
    for kind in ("Deployment", "Service", "HTTPRoute", "HorizontalPodAutoscaler",
                 "PodDisruptionBudget", "Job", "DataProductReview"):  # fmt: skip
        root.children += [
            _object(kind, manifest)
            for manifest in objects.get(kind, ())
            if _revision(manifest) not in revisions
        ]
    _explain_training(product, root.children)
    root.children += [
        TreeNode("DataProduct", f"{dependency.get('namespace')}/{dependency.get('name')}",
             {"Healthy": "ok", "Degraded": "failed"}.get(str(dependency.get("state")), ""),
             f"dependency, {dependency.get('state')}")
        for dependency in facts.entries(status, "dependencies")
    ]  # fmt: skip
    return root


def _parties(trial: facts.Body) -> Iterator[TreeNode]:
    """Yield the parties that must approve a candidate, each with its answer."""
    approvals = facts.section(trial, "approvals")
    for answer in facts.entries(approvals, "answers"):
        agrees = answer.get("verdict") == "Agree" and not answer.get("problem")
        text = f"{answer.get('verdict')} of {answer.get('user')} at {answer.get('answerTime')}"
        text += f"; {answer['problem']}" if answer.get("problem") else ""
        yield TreeNode("Approval", str(answer.get("party")), "ok" if agrees else "failed", text)
    waiting = approvals.get("waitingFor")
    answering_parties = {answer.get("party") for answer in facts.entries(approvals, "answers")}
    for party in waiting if isinstance(waiting, list) else ():
        if party not in answering_parties:
            yield TreeNode("Approval", str(party), "waiting", "no answer yet")


def _explain_training(product: facts.Body, nodes: list[TreeNode]) -> None:
    """Add the reason why the running training waits to its Job's node."""
    job = facts.section(product, "status", "retraining").get("job")
    active = facts.condition(product, "RetrainingActive")
    for node in nodes:
        if job and (node.kind, node.name) == ("Job", job) and active.get("status") == "False":
            node.state, node.message = "waiting", str(active.get("message", ""))


def _version(
    version: facts.Body, mark: str, text: str, objects: Mapping[str, list[facts.Body]]
) -> TreeNode:
    node = TreeNode("Version", str(version.get("version")), mark, text)
    revision = version.get("revision")
    for kind in ("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        for body in objects.get(kind, ()):
            if _revision(body) == revision:
                node.children.append(_object(kind, body))
    pods = [_object("Pod", body) for body in objects.get("Pod", ()) if _revision(body) == revision]
    home = next((body for body in node.children if body.kind == "Deployment"), node)
    home.children += pods
    return node


def _revision(body: facts.Body) -> str | None:
    return facts.section(body, "metadata", "labels").get(LABEL_REVISION)


def _object(kind: str, body: facts.Body) -> TreeNode:
    state, message = _STATES.get(kind, lambda _: ("", ""))(body)
    return TreeNode(kind, body["metadata"]["name"], state, message)


def _deployment(body: facts.Body) -> tuple[str, str]:
    replicas = facts.section(body, "spec").get("replicas", 0)
    ready = facts.section(body, "status").get("readyReplicas", 0)
    return ("ok" if ready >= replicas else "waiting"), f"{ready}/{replicas} ready"


def _pod(body: facts.Body) -> tuple[str, str]:
    status = facts.section(body, "status")
    waiting_reasons = [
        str(facts.section(container_status, "state", "waiting").get("reason"))
        for container_status in facts.entries(status, "containerStatuses")
        if facts.section(container_status, "state", "waiting")
    ]
    ready = facts.condition(body, "Ready").get("status") == "True"
    phase = str(status.get("phase", "Unknown"))
    if ready:
        return "ok", phase
    failed = phase == "Failed" or any(
        waiting_reason.endswith(("BackOff", "Error")) for waiting_reason in waiting_reasons
    )
    return ("failed" if failed else "waiting"), ", ".join([phase, *waiting_reasons])


def _job(body: facts.Body) -> tuple[str, str]:
    status = facts.section(body, "status")
    if status.get("succeeded"):
        return "ok", "succeeded"
    if facts.condition(body, "Failed").get("status") == "True":
        return "failed", "failed"
    return "waiting", "running" if status.get("active") else "not running"


def _route(body: facts.Body) -> tuple[str, str]:
    rules = facts.entries(body, "spec", "rules")
    weights = ", ".join(
        f"{entry.get('name')} {entry.get('weight', 1)}"
        for entry in (facts.entries(rules[0], "backendRefs") if rules else ())
    )
    accepted = [
        entry.get("status") == "True"
        for parent in facts.entries(body, "status", "parents")
        for entry in facts.entries(parent, "conditions")
        if entry.get("type") == "Accepted"
    ]
    return ("ok" if accepted and all(accepted) else "waiting"), weights


def _review(body: facts.Body) -> tuple[str, str]:
    state = str(facts.section(body, "status").get("state", "NotStarted"))
    mark = {"Reviewed": "ok", "Overdue": "failed", "ToReview": "waiting"}.get(state, "")
    return mark, state


_STATES: Final = {
    "Deployment": _deployment, "Pod": _pod, "Job": _job, "HTTPRoute": _route,
    "DataProductReview": _review,
}  # fmt: skip


def lines(root: TreeNode) -> Iterator[str]:
    """Yield the tree as text, a line for each node."""
    yield _line(root)
    yield from _below(root, "")


def _below(node: TreeNode, prefix: str) -> Iterator[str]:
    for number, child in enumerate(node.children, start=1):
        last = number == len(node.children)
        yield f"{prefix}{'└─' if last else '├─'}{_line(child)}"
        yield from _below(child, f"{prefix}{'  ' if last else '│ '}")


def _line(node: TreeNode) -> str:
    text = clean_text(f"{node.kind}/{node.name}")
    message = clean_text(node.message)
    return f"{MARKS[node.state]} {text}  {message}".rstrip()
