"""What Argo CD and Flux make of a DataProduct: the same statuses through their own languages."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

GITOPS = Path(__file__).resolve().parents[3] / "gitops"
ARGOCD = GITOPS / "argocd"
LIBRARIES = ("string", "os", "io", "math", "package", "debug", "coroutine", "require")
"""What Argo CD doesn't open for a script without a setting."""


def product(
    *conditions: str, generation: int = 2, observed: int = 2, **more: Any
) -> dict[str, Any]:
    """A DataProduct; a condition is `Type=Status Reason message`."""
    found = []
    for text in conditions:
        head, reason, message = text.split(" ", 2)
        kind, _, status = head.partition("=")
        found.append({"type": kind, "status": status, "reason": reason, "message": message})
    told = {"observedGeneration": observed, "conditions": found, **more.pop("status", {})}
    return {
        "metadata": {"name": "pricing", "generation": generation, "resourceVersion": "77"},
        "spec": {"model": {"bento": {"version": "v1"}}, **more},
        "status": told,
    }


READY = "Ready=True Serving v1 serves"
REJECTED = "Stalled=True ModelRejected v2 was not promoted (CanaryNotReady); stable keeps serving"
CANDIDATE = {"version": "v2", "phase": "Stepping", "weight": 25}
STABLE = {"version": "v1", "image": "r/x@sha256:1"}
NEW = {"metadata": {"generation": 1, "resourceVersion": "1"}, "spec": {}}
STATES = {
    "new": (NEW, "Progressing", "inProgress"),
    "without conditions": ({**NEW, "status": {"observedGeneration": 1}}, "Progressing", "inProgress"),
    "an old generation": (product(READY, observed=1), "Progressing", "inProgress"),
    "starting": (
        product("Ready=False Starting no version is stable yet", "Reconciling=True Starting its pods"),
        "Progressing",
        "inProgress",
    ),
    "serving": (product(READY), "Healthy", "current"),
    "a canary": (product(READY, status={"candidate": CANDIDATE}), "Healthy", "current"),
    "invalid": (
        product(READY, "Stalled=True InvalidSpec spec.serving.runtimeImage: is required"),
        "Degraded",
        "failed",
    ),
    "rejected": (product(READY, REJECTED), "Degraded", "failed"),
    "an SLO broken": (
        product(READY, "Degraded=True ModelDecay accuracy is at 82 %"),
        "Degraded",
        "current",
    ),
    "an approval": (
        product(READY, status={"candidate": {**CANDIDATE, "phase": "AwaitingApproval"}}),
        "Suspended",
        "current",
    ),
    "suspended": (product(READY, suspend=True), "Suspended", "current"),
    "a candidate that is parked": (
        product(READY, status={"candidate": {**CANDIDATE, "phase": "Parked"}}),
        "Healthy",
        "current",
    ),
    "a route that is refused": (
        product("Ready=False RouteNotAccepted Gateway web says nothing"),
        "Degraded",
        "inProgress",
    ),
}  # fmt: skip


def run_lua(text: str, body: dict[str, Any]) -> Any:
    """Run a script as Argo CD does: Lua 5.1, `obj`, no library but the base and table."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    for name in LIBRARIES:
        lua.globals()[name] = None
    lua.globals().obj = table(lua, json.loads(json.dumps(body)))
    return plain(lua.execute(text))


def table(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: table(lua, one) for key, one in value.items()})
    if isinstance(value, list):
        return lua.table_from([table(lua, one) for one in value])
    return value


def plain(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    return {key: plain(one) for key, one in value.items()}


@pytest.mark.parametrize(("body", "argo", "_flux"), STATES.values(), ids=STATES)
def test_the_argo_cd_health_of_a_product_has_its_state_and_message(
    body: dict[str, Any], argo: str, _flux: str
):
    found = run_lua((ARGOCD / "health.lua").read_text(), body)

    assert found["status"] == argo
    assert found["message"]


@pytest.mark.parametrize(("body", "_argo", "flux"), STATES.values(), ids=STATES)
def test_a_product_has_exactly_one_of_the_three_flux_states(
    body: dict[str, Any], _argo: str, flux: str
):
    from cel import evaluate  # brings a command line along, which takes a second to import

    documents = yaml.safe_load_all((GITOPS / "flux" / "products.yaml").read_text())
    (kustomization,) = (document for document in documents if document["kind"] == "Kustomization")
    (expressions,) = kustomization["spec"]["healthCheckExprs"]
    # Flux gives an object without a status an empty one.
    whole = {"status": {}, **body}

    true = {
        name
        for name in ("inProgress", "failed", "current")
        if evaluate(expressions[name], whole) is True
    }

    # An old generation is in progress for Flux, whatever else holds.
    assert flux in true
    assert true - {flux} <= ({"current"} if flux == "inProgress" else set())


def actions(body: dict[str, Any]) -> set[str]:
    found = run_lua((ARGOCD / "actions" / "discovery.lua").read_text(), body)
    return {name for name, about in found.items() if not about["disabled"]}


@pytest.mark.parametrize(
    ("body", "enabled"),
    [
        (NEW, set()),
        (product(READY, status={"stable": STABLE}), set()),
        (product(READY, status={"stable": STABLE, "candidate": CANDIDATE}), {"promote", "abort"}),
        (product(READY, REJECTED, status={"stable": STABLE}), {"promote"}),
        (product(READY, status={"stable": STABLE}, retraining={"mode": "Manual"}), {"retrain"}),
        (
            product(READY, status={"stable": STABLE, "history": [STABLE, {"version": "v0"}]}),
            {"rollback-to-previous"},
        ),
    ],
)
def test_only_effective_argo_cd_actions_are_enabled(body: dict[str, Any], enabled: set[str]):
    assert actions(body) == enabled


@pytest.mark.parametrize(
    ("action", "annotation", "value"),
    [
        ("promote", "sluicegate.dev/promote", "v2/77"),
        ("abort", "sluicegate.dev/abort", "v2/77"),
        ("retrain", "sluicegate.dev/retrain-requested-at", "77"),
        ("rollback-to-previous", "sluicegate.dev/rollback-to", "v0/77"),
    ],
)
def test_an_argo_cd_action_sets_one_request_annotation(action: str, annotation: str, value: str):
    history = [STABLE, {"version": "v0"}, {"version": "v00"}]
    status = {"candidate": CANDIDATE, "stable": STABLE, "history": history}
    found = run_lua(
        (ARGOCD / "actions" / f"{action}.lua").read_text(), product(READY, status=status)
    )

    assert found["metadata"]["annotations"] == {annotation: value}


def test_the_argo_cd_config_map_is_generated_from_the_lua_files():
    spec = importlib.util.spec_from_file_location("render", ARGOCD / "render.py")
    assert spec
    assert spec.loader
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)

    assert (ARGOCD / "argocd-cm.yaml").read_text() == render.rendered(), (
        "run python gitops/argocd/render.py"
    )
    data = yaml.safe_load(render.rendered())["data"]
    customised = yaml.safe_load(data["resource.customizations.actions.sluicegate.dev_DataProduct"])
    assert {definition["name"] for definition in customised["definitions"]} == {
        "promote", "abort", "retrain", "rollback-to-previous",
    }  # fmt: skip
