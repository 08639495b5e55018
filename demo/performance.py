"""The whole demonstration: prepare, run the story, print the summary."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cluster import addons
from cluster.backend import LOCAL
from cluster.builds import elapsed
from cluster.errors import ClusterError
from cluster.first_start import first_start, prepare, told
from cluster.identity import CHECKOUT
from demo import products, setup
from demo.bentos import kept
from demo.evidence import evidence
from demo.picture import picture
from demo.report import Report, summary
from demo.review import write_review
from demo.samples import SAMPLES
from demo.story import Story, shift_market
from demo.telling import Telling
from demo.traffic import Senders, sources
from used_car_market import Market

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster.backend import Backend
    from demo.samples import Object
    from demo.terminal import Terminal

T = TypeVar("T")

REPORT = CHECKOUT / "demo-report.json"
STORY = CHECKOUT / "demo-story.svg"
FIRST_VERSION = "v1"
TRY = """
Six things to try now; each sends its own traffic and shows what comes of it:
  make demo-break     push a model that is worse, and see it rolled back
  make demo-retrain   ask for a retraining, and see where it leads
  make demo-country   let cars become cheaper in Austria alone, and see where prices are wrong
  make demo-consumer  release a pricing that is better by itself and worse for search-ranking
  make demo-traffic   send traffic on, so that both products stay measured
  make demo-history   show the versions, their outcomes and their baselines
`make demo-web` shows both products on a page in your browser. `make demo-down` removes everything."""


def perform(backend: Backend, terminal: Terminal) -> int:
    """Run the story; return 0 if each stage was reached."""
    for line in told(first_start(backend)):
        terminal.say(line)
    terminal.say("A cluster starts within about two minutes; then the story takes six.")
    began, market = time.monotonic(), Market()
    products_to_apply = _prepare(backend, terminal, market)
    prepared = time.monotonic() - began
    terminal.say(
        "\nThe market's products: pricing says what a car will sell for; search-ranking orders cars"
        "\nand asks pricing. Accuracy is that of the last 15 s, against the baseline at acceptance.\n"
    )
    terminal.headings()
    story = Story(Telling(backend, terminal))
    for product in products_to_apply:
        products.apply_product(backend, product)
    story.telling.note("both", "applied: two DataProducts, their first versions")
    report = _run_story(story, market, prepared)
    return _conclude(backend, terminal, report)


def _prepare(backend: Backend, terminal: Terminal, market: Market) -> list[Object]:
    """Prepare everything up to the products, which can then be applied; return it."""
    step = partial(_step, terminal)
    if backend.kubeconfig.exists() and backend.is_ready():
        # Before anything is started that has to find room on the node.
        step(
            "nothing left of an earlier demonstration",
            lambda: products.remove_namespaces(backend),
        )
    if backend.kind == LOCAL:
        step("programs and images", prepare)
    step("cluster with registry, gateway and Prometheus", lambda: setup.start_cluster(backend))
    where = addons.addresses(backend)
    images = step("images of operator and runtime", lambda: setup.load_images(backend))
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(lambda: [kept(sample, FIRST_VERSION, market) for sample in SAMPLES])
        step(
            "operator, by its Helm chart",
            lambda: setup.install_operator(backend, images, where),
        )
        bentos = step("first versions of both models, by their own training code", first.result)
    step(
        "namespaces of both products",
        lambda: products.prepare_namespaces(backend, market),
    )
    rendered = []
    # A repository of this run: a version never changes, and each story has a v1 and a v2 of its own.
    run = f"demo-{time.time():.0f}"
    for sample, bento in zip(SAMPLES, bentos, strict=True):
        repository = f"{where.registry_in_pods}/{run}/{sample.name}"
        model = products.Model(bento.push(where.local_name(repository)), bento, images.runtime)
        rendered.append(products.fitted(sample.file(), model, repository=repository))
    return rendered


def _step(terminal: Terminal, title: str, do: Callable[[], T]) -> T:
    began = time.monotonic()
    terminal.live(f"  … {title}")
    done = do()
    terminal.say(f"  ✓ {title} ({elapsed(time.monotonic() - began)})")
    return done


def _run_story(story: Story, market: Market, prepared: float) -> Report:
    """Return the report of the story, or of how far it came."""
    telling = story.telling
    where = addons.addresses(telling.backend)
    try:
        story.serve()
        with Senders(sources(telling.backend, where.gateway), market) as senders:
            telling.senders = senders
            telling.note("market", "sellers and visitors come; the truth follows 2 s later")
            try:
                story.unfold(lambda: shift_market(telling, market))
                return story.report(prepared)
            except ClusterError as error:
                return story.report(prepared, str(error))
            finally:
                telling.senders = None
    except ClusterError as error:
        return story.report(prepared, str(error))


def _conclude(backend: Backend, terminal: Terminal, report: Report) -> int:
    document = json.dumps(report.document(), indent=2, ensure_ascii=False)
    REPORT.write_text(document + "\n", encoding="utf-8")
    STORY.write_text(picture(report.document()), encoding="utf-8")
    terminal.say()
    for line in summary(report):
        terminal.say(line)
    if report.failures:
        for line in evidence(backend):
            terminal.say(line)
        for failure in report.failures:
            terminal.say(f"\nThe story didn't happen as promised: {failure}")
        terminal.say(f"({REPORT.name} has the timeline; the cluster stays for you to explore)")
        return 1
    page = write_review(backend, addons.addresses(backend).prometheus)
    terminal.say(
        f"\nAll of it happened. {REPORT.name} has the numbers, {STORY.name} the picture. Open the review"
        " of both products:"
    )
    terminal.say(f"  {page.as_uri()}\n{TRY}")
    return 0
