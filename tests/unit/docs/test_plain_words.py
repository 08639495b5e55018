"""Texts for users, tests, docstrings and identifiers have the words of docs/glossary.md."""

from __future__ import annotations

import ast
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import sluicegate
from sluicegate.api.crd import DEFINITIONS, build_crd

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
BANNED = {
    r"(is|are|was|were|be) told": "reported, logged, an event",
    r"tells?": "reports, shows, distinguishes",
    r"looks? at|looked at|next look": "check, reconcile, requeue",
    r"serves? on|what serves": "keeps serving, remains stable, the stable version",
    r"at rest": "idle",
    r"in step": "in sync",
    r"anew": "again",
    r"for ever": "indefinitely",
    r"nobody|somebody|whoever": "no user, a person, the owner",
    r"strangers?": "not owned by Sluicegate",
    r"(go|goes|went|going|gone|tak(e|es|en)|took|turn(s|ed)?|com(e|es)|came|way) back": "roll back",
    r"withdrawn": "rolled back",
    r"signs? of life": "event or bookmark",
    r"settled": "complete",
    r"mend(s|ed|ing)?": "fix",
    r"troubles?": "fault, problem",
    r"hopeless": "unrecoverable",
    r"fates?": "outcome",
    r"cures?": "remedy",
    r"ow(e|es|ed)": "objective",
    r"speaks? (for|against)": "evidence in favour, against",
    r"held against": "compared with",
    r"blam(e|es|ed)|its doing": "cause",
    r"in the dark": "without data",
}
"""Words to avoid as regular expressions, with those of the field for each."""
PLAIN = (
    "demo",
    "operator/sluicegate/policy",
    "operator/sluicegate/api",
    "operator/sluicegate/portfolio",
    "operator/sluicegate/views",
    "operator/sluicegate/cli/kubectl",
    "benchmarks",
    "bentos",
    "cluster",
    "operator/sluicegate/__main__.py",
    "operator/sluicegate/cli/inputs",
    "operator/sluicegate/cli/models",
    "operator/sluicegate/cli/operations",
    "operator/sluicegate/cli/printing",
    "operator/sluicegate/cli/reviews",
    "operator/sluicegate/cli/standards",
    "operator/sluicegate/cli/trials",
    "operator/sluicegate/conditions.py",
    "operator/sluicegate/errors.py",
    "operator/sluicegate/handlers.py",
    "operator/sluicegate/kube",
    "operator/sluicegate/manager.py",
    "operator/sluicegate/manifests",
    "operator/sluicegate/measurement",
    "operator/sluicegate/notify",
    "operator/sluicegate/prometheus",
    "operator/sluicegate/reporting",
    "operator/sluicegate/reconcile",
    "operator/sluicegate/reviews",
    "operator/sluicegate/runtime",
    "operator/sluicegate/settings.py",
    "operator/sluicegate/simulation",
    "operator/sluicegate/slo",
    "operator/sluicegate/spans.py",
    "operator/sluicegate/standards",
    "operator/sluicegate/stats",
    "operator/sluicegate/web",
    "operator/sluicegate/wiring.py",
    "tests/support/apiserver",
    "tests/support/decisions",
    "tests/support/executed_lines.py",
    "tests/support/failures",
    "tests/support/fuzz",
    "tests/support/gitops",
    "tests/support/manual_clock.py",
    "tests/support/meanwhile.py",
    "tests/support/node",
    "tests/support/pages",
    "tests/support/portfolio",
    "tests/support/processes",
    "tests/support/prometheus",
    "tests/support/queues",
    "tests/support/receivers",
    "tests/support/runs",
    "tests/support/s3",
    "tests/support/samples",
    "tests/support/virtual",
    "tests/support/waiting.py",
)
"""Code whose docstrings, comments and identifiers are checked, too."""
VAGUE = frozenset({"one", "found", "known", "told", "wanted", "asked", "seen", "shown"})
"""Names that don't say what they hold; allowed in comprehensions and lambdas only."""
NO_VERB = re.compile(
    r"(The|An?|What|Whether|Which|Who|Whose|Why|When|Where|How|All|Those|These|Each|One|Nothing)\b"
)
"""Beginnings of a function's docstring that are no verb."""
Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
PAGES = ("*.md", "docs/*.md", "docs/adr/*.md", "docs/tutorials/*.md", "tests/README.md", "cluster/README.md", "bentos/*/README.md", "gitops/README.md")  # fmt: skip
PATTERN = re.compile(rf"\b({'|'.join(BANNED)})\b", re.IGNORECASE)
TEST = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
WITHOUT_SUBJECT = re.compile(
    r"test_(what|whatever|who|whoever|whose|anybody|else|its?|nor|nothing|of|others|she|he|such"
    r"|that|them|there|these|they|those)_"
)
"""Test names that begin without a component as their subject."""
VAGUE_IN_NAMES = {
    r"says?|said|speaks?|hears?": "reports, names, has the reason",
    r"asks|asked|wants?|wanted": "requests, requires, reads",
    r"knows?|learns?|learnt|teach(es)?|forgets?|forgotten": "records, keeps, drops",
    r"looks?|looked": "checks, reconciles, polls",
    r"gone|is there|are there": "deleted, missing, exists",
    r"goes on|any more": "continues, no longer",
    r"stretch(es)?": "span",
    r"promises?": "documented, bound",
    r"brings?|brought": "has, changes",
    r"excuses?|spoils?": "explains, breaks",
    r"seldom|pressing": "rarely, urgent",
}
"""Words that leave open what a component does, in test names only."""
LONGEST_NAME = 100
"""Characters of a test name; a longer one states more than one rule."""


def found_in(texts: Iterator[tuple[str, str]], pattern: re.Pattern[str] = PATTERN) -> list[str]:
    """Where a text has a word to avoid, with the word."""
    return [
        f"{where}: {match[0]!r} in {text.strip()[:80]!r}"
        for where, text in texts
        if (match := pattern.search(text))
    ]


def schema_texts() -> Iterator[tuple[str, str]]:
    """Descriptions and messages of both definitions."""
    for of in DEFINITIONS:
        yield from _texts(build_crd(of), of.kind)


def _texts(part: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key in {"description", "message"} and isinstance(value, str):
                yield f"{path}.{key}", value
            yield from _texts(value, f"{path}.{key}")
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _texts(value, f"{path}[{index}]")


def alert_texts() -> Iterator[tuple[str, str]]:
    """Summaries and descriptions of the alerts."""
    file = ROOT / "charts/sluicegate/files/alerts.yaml"
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            for name, text in rule["annotations"].items():
                yield f"{rule['alert']}.{name}", text


def literal_texts() -> Iterator[tuple[str, str]]:
    """All texts of the operator: conditions, events, HELP, commands, errors; docstrings aren't read."""
    for path in sorted(Path(sluicegate.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        silent = {
            statement.value
            for node in ast.walk(tree)
            if isinstance(node, Definition)
            for statement in node.body
            if isinstance(statement, ast.Expr)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or node in silent:
                continue
            if isinstance(node.value, str) and " " in node.value:
                yield f"{path.name}:{node.lineno}", node.value


def docstring_texts() -> Iterator[tuple[str, str]]:
    """Lines of the docstrings of all tests and of their support."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Definition):
                name = getattr(node, "name", "")
                for line in (ast.get_docstring(node) or "").splitlines():
                    yield f"{path.relative_to(ROOT)}::{name}", line


def plain_files() -> Iterator[tuple[str, Path]]:
    """Each file of the code with plain words, with its path in the repository."""
    for part in PLAIN:
        place = ROOT / part
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            yield str(path.relative_to(ROOT)), path


def code_docstring_texts() -> Iterator[tuple[str, str]]:
    """Docstrings of modules, classes, functions and attributes of the code with plain words."""
    for where, path in plain_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Definition):
                for statement in node.body:
                    match statement:
                        case ast.Expr(value=ast.Constant(value=str(text))):
                            yield f"{where}:{statement.lineno}", " ".join(text.split())


def comment_texts() -> Iterator[tuple[str, str]]:
    """Comments of the code with plain words."""
    for where, path in plain_files():
        for token in _tokens(path):
            if token.type == tokenize.COMMENT:
                yield f"{where}:{token.start[0]}", token.string


def identifier_texts() -> Iterator[tuple[str, str]]:
    """Identifiers of the code with plain words, each as words with spaces."""
    for where, path in plain_files():
        for token in _tokens(path):
            if token.type == tokenize.NAME:
                words = re.sub(r"([a-z])([A-Z])", r"\1 \2", token.string).replace("_", " ")
                yield f"{where}:{token.start[0]}", words


def _tokens(path: Path) -> Iterator[tokenize.TokenInfo]:
    with path.open(encoding="utf-8") as file:
        yield from tokenize.generate_tokens(file.readline)


def page_texts() -> Iterator[tuple[str, str]]:
    """Lines of the pages for users and contributors; the glossary itself lists the words to avoid."""
    pages = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    for page in pages:
        if page.name == "glossary.md":
            continue
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            yield f"{page.relative_to(ROOT)}:{number}", line


def help_texts() -> Iterator[tuple[str, str]]:
    """The help of the targets of `make`."""
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines():
        if "## " in line:
            yield "Makefile", line.partition("## ")[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "texts",
    [
        schema_texts, alert_texts, literal_texts, docstring_texts, page_texts, help_texts,
        code_docstring_texts, comment_texts, identifier_texts,
    ],
)  # fmt: skip
def test_a_text_has_the_words_of_the_field(texts):
    read = list(texts())
    assert len(read) > 30
    assert found_in(iter(read)) == []


def test_a_banned_word_is_detected_in_any_form():
    assert found_in(iter([("x", "Nobody is told"), ("y", "the candidate is rolled back")])) == [
        "x: 'Nobody' in 'Nobody is told'"
    ]


def test_a_test_name_has_a_subject_and_the_words_of_the_field():
    names = [
        (str(path.relative_to(ROOT)), name)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name in TEST.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(names) > 3000
    vague = re.compile(rf"\b({'|'.join([*BANNED, *VAGUE_IN_NAMES])})\b")
    assert found_in(((where, name.replace("_", " ")) for where, name in names), vague) == []
    assert [name for _, name in names if WITHOUT_SUBJECT.match(name)] == []
    assert [name for _, name in names if len(name) > LONGEST_NAME] == []


@pytest.mark.slow
def test_a_docstring_of_a_function_begins_with_a_verb():
    read, wrong = 0, []
    operator = (
        (str(path.relative_to(ROOT)), path) for path in sorted((ROOT / "operator").rglob("*.py"))
    )
    for where, path in {*plain_files(), *operator}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
                continue
            text = ast.get_docstring(node) or ""
            read += bool(text)
            if NO_VERB.match(text):
                wrong.append(f"{where}:{node.lineno}: {text.splitlines()[0]}")
    assert read > 2500
    assert wrong == []


@pytest.mark.slow
def test_a_variable_has_a_noun_of_the_field():
    wrong = []
    for where, path in plain_files():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        short = {
            inner
            for node in ast.walk(tree)
            if isinstance(
                node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda
            )
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                    pass
                case ast.MatchAs(name=str(name)):
                    pass
                case _:
                    continue
            if name in VAGUE and node not in short:
                wrong.append(f"{where}:{node.lineno}: {name}")
    assert wrong == []
