"""`sluicegate graph`: which product depends on which, for Graphviz or Mermaid."""

import argparse
from collections.abc import Iterator
from typing import Any, Final

from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.kubectl.session import Session, opened, refusals
from sluicegate.cli.printing.output import add_output, document, write, write_names
from sluicegate.cli.printing.terminal import print_progress
from sluicegate.errors import invalid
from sluicegate.kube.errors import Forbidden
from sluicegate.kube.resources import DATA_PRODUCTS, key_of
from sluicegate.portfolio.affected import Graph, graph_of
from sluicegate.views.plain_text import clean_text
from sluicegate.views.words import Tone, tone_of

FILLS: Final = {Tone.GOOD: "#d6f0d6", Tone.WARN: "#ffe6b3", Tone.BAD: "#f6c9c9", Tone.NONE: "white"}
"""Fills of nodes by the tone of their state."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("product", metavar="NAME", nargs="?", default="",
                        help="only what this product depends on, and what depends on it")  # fmt: skip
    parser.add_argument("--all-namespaces", "-A", action="store_true", help="of all namespaces")
    parser.add_argument("--format", choices=("mermaid", "dot"), default="mermaid",
                        help="language of the graph (default: mermaid)")  # fmt: skip
    add_output(parser)
    add_access(parser)
    parser.epilog = (
        "Each node names its state; a product below a degraded one is marked as affected. Exit codes:"
        " 0 done, 1 failed, 2 wrong input."
    )


def run(args: argparse.Namespace) -> int:
    """Print the graph."""
    from sluicegate.views.product_facts import read_facts  # noqa: PLC0415 - imports the types

    with opened(args) as session:
        items = _items(session, args.product)
        graph = graph_of([read_facts(product) for product in items])
        if args.product:
            name = str(session.key(args.product))
            if name not in graph.nodes:
                raise invalid(name, f"is not among the {len(graph.nodes)} products: see `get -A`")
            graph = graph.near(name)
    if args.output == "name":
        write_names([product for product in items if str(key_of(product)) in graph.nodes])
        return 0
    if args.output in {"json", "yaml"}:
        write(_document(graph), args.output)
        return 0
    graph_text = dot(graph) if args.format == "dot" else mermaid(graph)
    print("\n".join(graph_text))
    return 0


def _items(session: Session, product: str) -> list[dict[str, Any]]:
    """Return the namespace's products; for a single product those of all namespaces, as dependencies cross them."""
    if product and session.namespace:
        try:
            return list(session.client.items(DATA_PRODUCTS))
        except Forbidden:
            print_progress(
                f"Only products of the namespace {session.namespace} are shown: you may list no others."
            )
    with refusals("list", DATA_PRODUCTS, session.namespace):
        return list(session.client.items(DATA_PRODUCTS, namespace=session.namespace))


def _document(graph: Graph) -> dict[str, Any]:
    products = [
        {"namespace": namespace, "name": name, "state": graph.nodes[label].state}
        for label in sorted(graph.nodes)
        for namespace, _, name in [label.partition("/")]
    ]
    edges = [{"from": caller, "to": callee} for caller, callee in graph.edges]
    return document("ProductGraph", products=products, dependencies=edges)


def dot(graph: Graph) -> Iterator[str]:
    """Yield the graph in the language of Graphviz."""
    yield "digraph products {"
    yield '  rankdir=LR; node [shape=box, style="rounded,filled", fillcolor=white];'
    for name, node in sorted(graph.nodes.items()):
        fill = FILLS[tone_of(node.state)]
        yield f'  "{_escaped(name)}" [label="{_escaped(name)}\\n{_label(graph, name)}", fillcolor="{fill}"];'
    for caller, callee in graph.edges:
        yield f'  "{_escaped(caller)}" -> "{_escaped(callee)}";'
    yield "}"


def mermaid(graph: Graph) -> Iterator[str]:
    """Yield the graph in the language of Mermaid."""
    numbers = {name: f"p{number}" for number, name in enumerate(sorted(graph.nodes))}
    yield "flowchart LR"
    for name, number in numbers.items():
        text = f"{name}<br/>{_label(graph, name)}".replace('"', "#quot;")
        yield f'  {number}["{clean_text(text)}"]'
    for caller, callee in graph.edges:
        yield f"  {numbers[caller]} --> {numbers[callee]}"
    for shade, colour in FILLS.items():
        style_lines = sorted(
            numbers[name] for name, node in graph.nodes.items() if tone_of(node.state) is shade
        )
        if style_lines and shade is not Tone.NONE:
            yield f"  style {','.join(style_lines)} fill:{colour}"


def _label(graph: Graph, name: str) -> str:
    node = graph.nodes[name]
    return f"{clean_text(node.state)}, affected" if node.causes else clean_text(node.state)


def _escaped(text: str) -> str:
    return clean_text(text).replace("\\", "\\\\").replace('"', '\\"')
