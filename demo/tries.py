"""What one can try after the story: each one command that brings its own traffic."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import addons
from cluster.errors import ClusterError
from demo import products
from demo.bentos import train
from demo.errors import DemoError
from demo.samples import PRICING, SAMPLES, Object
from demo.telling import Scene, Stage, Telling
from demo.traffic import Senders, sources
from demo.watch import look, percent
from used_car_market import Market

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.addons import Addresses
    from cluster.backend import Backend
    from demo.terminal import Terminal

RETRAIN = "sluicegate.dev/retrain-requested-at"
VERDICT_SECONDS = 420
REST_SECONDS = VERDICT_SECONDS + 240
"""For a retraining and its rollout to end: a try that was interrupted may have caused one."""
LATER_DAYS = 35
"""A training looks back four weeks: all of them are after a shock."""


def break_new_version(backend: Backend, terminal: Terminal) -> int:
    """Push a model that was trained before the market shifted, wait for its rollback, clean up."""
    telling = telling_of(backend, terminal)
    product = telling.read(PRICING)
    stable = look(product).stable
    version = f"old-{time.time():.0f}"
    terminal.say(
        f"pricing serves {stable}. {version} is trained on the market of before the shift, as if a"
        " job had read\nlast month's table; it says of itself that it is as good as ever. It goes"
        " into spec.model, as a Git push would.\n"
    )
    terminal.live(f"  … training {version}")
    where = addons.addresses(backend)
    changed = _with_model(product, version, where)
    with visitors(telling):
        telling.until(measured())
        with spec_model_restored(telling, product):
            products.apply_product(backend, changed)
            telling.note("pricing", f"kubectl apply: spec.model is {version} now")
            telling.until(
                Stage(
                    name="rolled back",
                    expects=f"{version} to be rolled back",
                    seconds=VERDICT_SECONDS,
                    reached=lambda scene: _outcome(scene, version) == "RolledBack",
                    spoiled=lambda scene: (
                        f"{version} was promoted" if scene.states[PRICING].stable == version else ""
                    ),
                )
            )
        scene = telling.until(
            Stage(
                name="as found",
                expects="pricing to rest with nothing stalled",
                seconds=REST_SECONDS,
                reached=lambda scene: scene.states[PRICING].rests and not stalled(telling),
            )
        )
        failed = failed_requests(scene)
    named = with_stable_model(product)["spec"]["model"]["bento"]["version"]
    terminal.say(
        f"\n{version} was rolled back; {scene.states[PRICING].stable} serves all traffic, spec.model"
        f" names {named}; {failed} requests failed. `make demo-history` shows it."
    )
    return 1 if failed else 0


def ask_for_retraining(backend: Backend, terminal: Terminal) -> int:
    """Ask by annotation, and follow the attempt to its end, whatever that is."""
    telling = telling_of(backend, terminal)
    token = f"{time.time():.0f}"
    here = ("dprod/pricing", f"--namespace={PRICING.namespace}")
    with visitors(telling):
        before = telling.until(measured()).states[PRICING]
        backend.run_kubectl("annotate", "--overwrite", *here, f"{RETRAIN}={token}")
        telling.note("pricing", f"kubectl annotate {' '.join(here)} {RETRAIN}={token}")
        telling.until(
            Stage(
                name="taken up",
                expects="the request to be taken up",
                seconds=REST_SECONDS,
                reached=lambda scene: scene.states[PRICING].training.cause == "Requested",
            )
        )
        scene = telling.until(
            Stage(
                name="ended",
                expects="the attempt to end: promoted, or refused with its reason",
                seconds=REST_SECONDS,
                reached=lambda scene: scene.states[PRICING].rests,
            )
        )
        failed = failed_requests(scene)
    now = scene.states[PRICING]
    terminal.say(
        f"\nThe attempt ended as {now.training.outcome}: {now.training.gate or now.training.message}"
        f"\npricing serves {now.stable} (before: {before.stable}); {failed} requests failed."
    )
    return 1 if failed else 0


def show_history(backend: Backend, terminal: Terminal) -> int:
    """Return the versions of both products, the youngest first, as status.history has them."""
    telling = telling_of(backend, terminal)
    for sample in SAMPLES:
        status = telling.read(sample)["status"]
        terminal.say(f"{sample.namespace}/{sample.name}")
        for line in history_lines(status):
            terminal.say(f"  {line}")
        for line in decision_lines(status):
            terminal.say(f"  {line}")
        terminal.say("")
    kubectl = f"{backend.kubectl} --kubeconfig={backend.kubeconfig}"
    terminal.say(f"The same, and all else: {kubectl} describe dprod -n pricing pricing")
    return 0


def history_lines(status: Object) -> Iterator[str]:
    """Yield a table of the stable version and of those before it."""
    columns = "{:<16} {:<12} {:<16} {:<22} {}"
    yield columns.format("version", "outcome", "reason", "until", "accuracy at acceptance")
    stable = status.get("stable") or {}
    rows = [{**stable, "outcome": "Stable", "reason": stable.get("source", ""), "endTime": "now"}]
    for version in (*rows, *(status.get("history") or ())):
        counts = (version.get("baseline") or {}).get("accuracy")
        share = 1 - counts["bad"] / counts["total"] if counts and counts["total"] else None
        judged = f"{percent(share)} (n={counts['total']:,})" if counts else "–"
        yield columns.format(
            version["version"],
            version["outcome"],
            version.get("reason") or "–",
            version["endTime"],
            judged,
        )


def decision_lines(status: Object) -> tuple[str, ...]:
    """Return the last decision with its time, and its message; a sentence where there is none."""
    decision = status.get("decision")
    if decision is None:
        return ("no decision yet",)
    when = decision["decisionTime"]
    return (
        f"last decision: {decision['type']} ({decision['reason']}) at {when}",
        f"  {decision['message']}",
    )


def send_traffic(backend: Backend, terminal: Terminal) -> int:
    """Send until Ctrl-C, and show what happens meanwhile."""
    telling = telling_of(backend, terminal)
    with visitors(telling):
        telling.until(
            Stage(
                name="interrupted",
                expects="Ctrl-C",
                seconds=float("inf"),
                reached=lambda _: False,
            )
        )
    return 0


@contextmanager
def visitors(telling: Telling) -> Iterator[None]:
    """Yield traffic of the market as it is now."""
    where, market = addons.addresses(telling.backend), _market(telling.backend)
    telling.terminal.headings()
    with Senders(sources(telling.backend, where.gateway), market) as senders:
        telling.senders = senders
        try:
            yield
        finally:
            telling.senders = None


def telling_of(backend: Backend, terminal: Terminal) -> Telling:
    """Return the reporter of a running demonstration. Raises DemoError without one."""
    telling = Telling(backend, terminal)
    try:
        telling.read(PRICING)
    except (ClusterError, OSError) as error:
        raise DemoError(
            f"there is no demonstration to try this on: run `make demo` ({error})"
        ) from error
    return telling


def _market(backend: Backend) -> Market:
    here = ("get", "configmap", products.MARKET_CONFIG, f"--namespace={PRICING.namespace}")
    document = json.loads(backend.run_kubectl(*here, "-o", "json"))
    return Market.parse(document["data"][products.MARKET_KEY])


def _with_model(product: Object, version: str, where: Addresses) -> Object:
    """Return the product with a model of the first day's market, and nothing else changed."""
    repository = product["spec"]["retraining"]["output"]
    runtime = product["spec"]["serving"]["runtimeImage"]
    with tempfile.TemporaryDirectory(prefix="sluicegate-demo-") as scratch:
        bento = train(PRICING, version, Market(), Path(scratch) / "bento")
        model = products.Model(bento.push(where.local_name(repository)), bento, runtime)
    return products.fitted(to_apply(product), model, repository=repository)


@contextmanager
def spec_model_restored(telling: Telling, product: Object) -> Iterator[None]:
    """Set spec.model to the version that served before the block, however the block ends."""
    try:
        yield
    finally:
        restored = with_stable_model(product)
        products.apply_product(telling.backend, restored)
        version = restored["spec"]["model"]["bento"]["version"]
        telling.note("pricing", f"kubectl apply: spec.model is {version} again")


def with_stable_model(product: Object) -> Object:
    """Return the product, to be applied, with the stable version as its spec.model.

    A retrained version serves although spec.model names the one before it. Naming that again
    after another push would start its canary.
    """
    bento, stable = product["spec"]["model"]["bento"], product["status"]["stable"]
    model = product["spec"]["model"]
    if bento["image"] != stable["image"]:
        named = {key: stable[key] for key in ("image", "version", "service") if stable.get(key)}
        model = {"bento": bento | named}
    return to_apply(product) | {"spec": product["spec"] | {"model": model}}


def to_apply(product: Object) -> Object:
    """Return the fields of a product that a person applies."""
    metadata = {key: product["metadata"][key] for key in ("name", "namespace")}
    kept = {key: product[key] for key in ("apiVersion", "kind", "spec")}
    return kept | {"metadata": metadata}


def stalled(telling: Telling) -> bool:
    """Return whether a condition says that pricing is stalled."""
    conditions = telling.read(PRICING)["status"].get("conditions", [])
    return any(one["type"] == "Stalled" and one["status"] == "True" for one in conditions)


def measured() -> Stage:
    """Return traffic enough to judge by, before anything is changed."""
    return Stage(
        name="measured",
        expects="pricing to rest, measured on traffic",
        seconds=REST_SECONDS,
        reached=lambda scene: scene.states[PRICING].rests and scene.judged(PRICING) > 2_000,  # noqa: PLR2004 - some twenty seconds
    )


def _outcome(scene: Scene, version: str) -> str:
    return next(
        (outcome for name, outcome, _ in scene.states[PRICING].history if name == version), ""
    )


def failed_requests(scene: Scene) -> int:
    """Return requests of both products that weren't answered."""
    return sum(one.failed for one in scene.snapshots.values())
