"""Draws mutants at random: guards dropped, comparisons flipped, constants ±1, arguments swapped.

mutmut (3.8) and cosmic-ray (8.7) were examined first. mutmut leaves out decorated functions and
everything outside functions, so no property and no constant of a policy would be changed, and
chooses tests by function. cosmic-ray runs one command for each mutant, whatever it changes. Neither
drops guards or swaps arguments, which is what survived here, and neither draws a sample by a seed.
"""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from typing_extensions import override

from tests.mutants.mutant import CODE, ROOT, Mutant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

WHERE = (
    "policy",
    "stats",
    "slo",
    "measurement",
    "reconcile",
    "manifests",
    "runtime/leader_election.py",
    "runtime/resync.py",
    "runtime/workqueue.py",
    "prometheus",
    "kube",
)
"""Packages and modules that decide, write or measure."""

FLIPPED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
TOLD = (ast.JoinedStr, ast.Assert, ast.arg, ast.Import, ast.ImportFrom)
"""Of these nothing is decided: texts, types, and what the linter and the type checker see."""
QUIET = {"logger", "logging", "warnings"}
"""Objects whose calls only report to people."""
SYMMETRIC = {"max", "min"}
"""Functions of which swapped arguments are the same program."""


@dataclass(frozen=True, slots=True)
class Change:
    """Text between two offsets of a module's source, in bytes of UTF-8, and what replaces it."""

    begin: int
    end: int
    after: str
    kind: str


class Sites(ast.NodeVisitor):
    """Finds each place of one module that a mutant can change."""

    def __init__(self, source: str) -> None:
        self._raw = source.encode()
        lengths = [len(line.encode()) for line in source.splitlines(keepends=True)]
        self._starts = [0]
        for length in lengths:
            self._starts.append(self._starts[-1] + length)
        self.changes: list[Change] = []

    def _text(self, node: ast.expr) -> str:
        begin, end = self._span(node)
        return self._raw[begin:end].decode()

    def _span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _replace(self, node: ast.expr, after: str, kind: str) -> None:
        begin, end = self._span(node)
        self.changes.append(Change(begin, end, after, kind))

    @override
    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if not node.orelse and isinstance(node.body[-1], LEAVES):
            self._replace(node.test, "False", "guard dropped")
        self.generic_visit(node)

    @override
    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for dropped in node.values:
            kept = [f"({self._text(value)})" for value in node.values if value is not dropped]
            word = " and " if isinstance(node.op, ast.And) else " or "
            self._replace(node, f"({word.join(kept)})", f"without `{self._text(dropped)}`")
        self.generic_visit(node)

    @override
    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace(node, f"bool({self._text(node.operand)})", "negation dropped")
        self.generic_visit(node)

    @override
    def visit_Compare(self, node: ast.Compare) -> None:
        for (left, right), sign in zip(
            pairwise([node.left, *node.comparators]), node.ops, strict=True
        ):
            begin, end = self._span(left)[1], self._span(right)[0]
            between = self._raw[begin:end].decode()
            if between.strip() == SIGNS[type(sign)]:  # else a parenthesis is between them
                self.changes.append(Change(begin, end, f" {FLIPPED[type(sign)]} ", "flipped"))
        self.generic_visit(node)

    @override
    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value), "constant")
        elif isinstance(node.value, int | float):
            for other in sorted(
                {node.value + 1, node.value - 1} - {node.value}, reverse=True
            ):  # 1e300 + 1 is 1e300
                self._replace(node, f"({other!r})", "constant")

    @override
    def visit_Call(self, node: ast.Call) -> None:
        if _object(node.func) in QUIET:
            return
        first, second = [*node.args, None, None][:2]
        plain = (ast.Name, ast.Attribute)
        same = isinstance(node.func, ast.Name) and node.func.id in SYMMETRIC
        if isinstance(first, plain) and isinstance(second, plain) and not same:
            begin, end = self._span(first)[0], self._span(second)[1]
            between = self._raw[self._span(first)[1] : self._span(second)[0]].decode()
            after = self._text(second) + between + self._text(first)
            self.changes.append(Change(begin, end, after, "swapped"))
        self.generic_visit(node)

    @override
    def visit(self, node: ast.AST) -> None:
        if not isinstance(node, TOLD):
            super().visit(node)

    @override
    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    @override
    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._body(node)

    @override
    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._body(node)

    @override
    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._body(node)

    def _body(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        if not isinstance(node, ast.ClassDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self.visit(default)
        for statement in node.body:
            self.visit(statement)


def _object(called: ast.expr) -> str:
    """Name of the object whose method is called; empty for anything else."""
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        return called.value.id
    return ""


SIGNS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


def drawn_mutants(
    count: int, seed: int, root: Path = ROOT, where: Iterable[str] = WHERE
) -> list[Mutant]:
    """Return `count` of all mutants that can be generated.

    The same seed draws the same of the same code.
    """
    everything = [mutant for file in sources(root, where) for mutant in mutants_of(file, root)]
    chosen = random.Random(seed).sample(everything, min(count, len(everything)))
    return sorted(chosen, key=lambda one: (one.file, one.at))


def sources(root: Path = ROOT, where: Iterable[str] = WHERE) -> Iterator[Path]:
    """Yield the modules of packages, or modules themselves, within the operator's code."""
    for each in where:
        path = root / CODE / each
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def mutants_of(path: Path, root: Path = ROOT) -> Iterator[Mutant]:
    """Yield each mutant of one module."""
    source = path.read_text(encoding="utf-8")
    file = path.relative_to(root / CODE).as_posix()
    found = Sites(source)
    found.visit(ast.parse(source))
    raw = source.encode()
    for number, change in enumerate(
        sorted(found.changes, key=lambda change: (change.begin, change.after))
    ):
        original = raw[change.begin : change.end].decode()
        line = raw.count(b"\n", 0, change.begin) + 1
        yield Mutant(
            f"{file}:{line}#{number}",
            file,
            original,
            change.after,
            f"{change.kind}: `{' '.join(original.split())}` → `{' '.join(change.after.split())}`",
            at=len(raw[: change.begin].decode()),
        )
