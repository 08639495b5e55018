"""The house: what may be read off the imports. import-linter's contracts say who may know whom.

A *room* of a package is a direct child of it, a module or a sub-package with all that is in it. A
room's *level* is one more than the highest level of the rooms of the same package that it imports;
one that imports none has level 1. A module's *fan-out* is the number of the project's modules that
it imports; the API's types count as one, as they are one vocabulary, whichever files they lie in.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "sluicegate": "operator",
    "cluster": ".",
    "demo": ".",
    "benchmarks": ".",
    "sluicegate_service": "bentos/service/src",
    "used_car_market": "bentos/market/src",
}
MAX_LEVELS = {"sluicegate.reconcile": 6, "sluicegate.policy": 5, "sluicegate.cli": 3}
MAX_ARROWS = {"sluicegate.reconcile": 30, "sluicegate.policy": 27}
VOCABULARY = "sluicegate.api"
MAX_IMPORTS = 15
MIN_LINES = 40
ONE_SCREEN = 40
MEETING_PLACES = {
    "sluicegate.wiring": "constructs the parts that know products, once",
    "sluicegate.manager": "constructs, starts and stops what runtime/ has, in its order",
    "sluicegate.reconcile.observe.observer": "gathers the one value that a decision is made from",
    "sluicegate.policy.evaluate": "lets all that applies propose, and makes one decision",
    "benchmarks.virtual.operator": "the whole operator and its world, in one process",
    "cluster.local": "starts the parts of a node in their order, and stops them",
    "demo.performance": "the whole demonstration, from the cluster to its summary",
}
"""Modules in which others come together by intent: these alone may import more."""
DECISIONS = {"Advance", "Alert", "Hold", "Inconclusive", "Promote", "Retrain", "Rollback", "StartRollout"}  # fmt: skip


@cache
def modules() -> dict[str, Path]:
    """Every module of ours, by name."""
    found = {}
    for package, source in SOURCES.items():
        for path in (ROOT / source / package).rglob("*.py"):
            parts = path.relative_to(ROOT / source).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports() -> dict[str, frozenset[str]]:
    """The modules of ours that each imports, for its types too, and within its functions."""
    return {module: frozenset(_imported(module)) - {module} for module in modules()}


def _imported(module: str):
    for node in _statements(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from {name if name in modules() else node.module for name in names} & modules().keys()  # fmt: skip


def _statements(node: ast.AST):
    """What an import may be, at any depth: no expression holds one."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield child
            yield from _statements(child)


def levels(graph: dict[str, set[str]]) -> dict[str, int]:
    """The level of each node; AssertionError for a circle."""
    found: dict[str, int] = {}

    def level(node: str, above: tuple[str, ...]) -> int:
        assert node not in above, f"a circle: {' > '.join((*above, node))}"
        if node not in found:
            found[node] = 1 + max((level(one, (*above, node)) for one in graph[node]), default=0)
        return found[node]

    for node in graph:
        level(node, ())
    return found


def rooms(package: str) -> dict[str, set[str]]:
    """The rooms of a package, with those of the same package that each imports."""
    found: dict[str, set[str]] = {}
    for module, imported in imports().items():
        if module.startswith(f"{package}."):
            room = _room(package, module)
            others = {_room(package, one) for one in imported if one.startswith(f"{package}.")}
            found[room] = found.get(room, set()) | others - {room}
    return found


def _room(package: str, module: str) -> str:
    return module.removeprefix(f"{package}.").partition(".")[0]


@pytest.mark.parametrize(("package", "most"), MAX_LEVELS.items())
def test_a_package_has_at_most_the_allowed_number_of_import_levels(package, most):
    found = levels(rooms(package))
    assert max(found.values()) <= most, found


@pytest.mark.parametrize(("package", "most"), MAX_ARROWS.items())
def test_the_subpackages_of_a_package_import_few_others(package, most):
    arrows = [(room, other) for room, others in rooms(package).items() for other in others]
    assert len(arrows) <= most, arrows


def test_modules_have_no_import_cycle():
    levels({module: set(imported) for module, imported in imports().items()})


def fan_out(module: str) -> int:
    return len({VOCABULARY if one.startswith(VOCABULARY) else one for one in imports()[module]})


def test_a_module_imports_few_others():
    found = {module: fan_out(module) for module in modules() if module not in MEETING_PLACES}
    assert not {module: many for module, many in found.items() if many > MAX_IMPORTS}


@pytest.mark.parametrize("module", MEETING_PLACES)
def test_each_module_exempt_from_the_import_limit_exceeds_it(module):
    assert fan_out(module) > MAX_IMPORTS, f"{module} needs no exception any more"


def test_no_small_module_has_a_single_importer():
    importers: dict[str, set[str]] = {}
    for module, imported in imports().items():
        for one in imported:
            importers.setdefault(one, set()).add(module)
    small = {
        module: next(iter(importers[module]))
        for module, path in modules().items()
        if module.startswith("sluicegate.")
        and path.name != "__init__.py"
        and len(path.read_text(encoding="utf-8").splitlines()) < MIN_LINES
        and len(importers.get(module, ())) == 1
    }
    assert not small, f"each belongs into the module that imports it: {small}"


def test_only_the_policy_package_creates_decisions():
    """What reconcile does with a decision is to match it; it makes none."""
    made = [
        f"{module}:{node.lineno}"
        for module in modules()
        if module.startswith("sluicegate.reconcile")
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in DECISIONS
    ]
    assert not made


def test_the_reconcile_function_calls_its_stages_in_order():
    """`_reconcile` is the documented order, on one screen: the status is written before its effects."""
    (found,) = (
        node
        for node in ast.walk(tree("sluicegate.reconcile.reconciler"))
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "_reconcile"
    )
    calls = [node for node in ast.walk(found) if isinstance(node, ast.Call)]
    places = {ast.unparse(call.func).removeprefix("self."): call.lineno for call in calls}
    order = [
        "_observed",
        "plan",
        "effects.build",
        "reporter.record",
        "effects.apply",
        "requeue_after",
    ]
    assert sorted(order, key=places.__getitem__) == order
    assert found.end_lineno - found.lineno < ONE_SCREEN


def test_the_unit_tests_mirror_the_operator():
    """Each package has a folder of its name, and the packages with rooms a folder a room."""
    operator, unit = ROOT / "operator/sluicegate", ROOT / "tests/unit"
    packages = {path.parent.relative_to(operator) for path in operator.glob("*/__init__.py")}
    assert not [package for package in packages if not (unit / package).is_dir()]
    for package in MAX_LEVELS:
        name = package.rpartition(".")[2]
        folders = {path.name for path in (unit / name).iterdir() if any(path.glob("test_*.py"))}
        assert folders <= set(rooms(package)), name


PAGES = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "tests/README.md", "cluster/README.md", "docs/architecture.md", "docs/performance.md", "docs/operations.md"]  # fmt: skip
RECORDS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/adr").glob("*.md"))


@pytest.mark.parametrize("page", PAGES + RECORDS)
def test_the_paths_named_on_documentation_pages_exist(page):
    """A path is from the repository's top, from a package's folder, or from the page's folder."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/.])((?:\.?[\w-]+/)+[\w.-]*\w/?|\w+\.py)", text))
    named = {one for one in named if one.endswith((".py", ".md", ".toml", ".yaml", "/"))}
    folders = ("", "operator/sluicegate", "bentos/service/src", "tests", str(Path(page).parent))
    missing = [one for one in named if not any((ROOT / two / one).exists() for two in folders)]
    assert named or page in RECORDS
    assert not missing


def test_a_class_name_is_unique_in_the_operator():
    where = defaultdict(list)
    for module in modules():
        if module.startswith("sluicegate."):
            for node in tree(module).body:
                if isinstance(node, ast.ClassDef):
                    where[node.name].append(module)
    assert {name: found for name, found in where.items() if len(found) > 1} == {}


def test_rollback_decisions_are_created_in_one_module():
    """Whatever decides it: both ends of a rollback follow from status."""
    made = {
        module
        for module in modules()
        if module.startswith("sluicegate.")
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Rollback"
    }
    assert made == {"sluicegate.policy.rollout.rollbacks"}


def test_the_phase_of_a_candidate_is_written_in_one_module():
    """Elsewhere no argument and no key names it; a sample of the metrics copies it."""
    written = {
        module
        for module in modules()
        if module.startswith("sluicegate.")
        and module != "sluicegate.reconcile.report.product_sample"
        for node in ast.walk(tree(module))
        if (isinstance(node, ast.keyword) and node.arg == "phase")
        or (
            isinstance(node, ast.Dict)
            and any(isinstance(key, ast.Constant) and key.value == "phase" for key in node.keys)
        )
    }
    assert written == {"sluicegate.policy.rollout.candidates"}
