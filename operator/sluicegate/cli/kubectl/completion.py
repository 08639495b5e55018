"""`sluicegate completion SHELL`, and the program that kubectl runs for completions of its plugin.

Both complete commands, options and their values without a request; names of products are read from
the API server, in one request with a timeout of two seconds.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from sluicegate.cli.kubectl.session import opened
from sluicegate.errors import SluicegateError
from sluicegate.kube.requests import list_page
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.views.plain_text import clean_text

SHELLS: Final = {
    "bash": """\
_{id}() {{
  local IFS=$'\\n'
  COMPREPLY=($({complete} "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null | grep -v '^:' | cut -f1))
}}
complete -o default -F _{id} {program}
""",
    "zsh": """\
#compdef {program}
_{id}() {{
  local -a found
  found=(${{(f)"$({complete} ${{words[2,CURRENT]}} 2>/dev/null | grep -v '^:' | cut -f1)"}})
  compadd -a found
}}
compdef _{id} {program}
""",
    "fish": """\
complete -c {program} -f -a "({complete} (commandline -opc)[2..] (commandline -ct) | string match -v ':*')"
""",
}
NO_FILES: Final = ":4"
"""The directive after the completions, as kubectl reads it: no names of files."""
SECONDS: Final = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Print the completion of a shell for `sluicegate`. kubectl completes `kubectl sluicegate` by"
        " itself where kubectl_complete-sluicegate is on the PATH."
    )
    parser.add_argument("shell", choices=list(SHELLS), help="shell that reads it")
    parser.epilog = "bash: source <(sluicegate completion bash). Exit codes: 0 done, 2 wrong input."


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(
        SHELLS[args.shell].format(
            id="sluicegate", program="sluicegate", complete="kubectl_complete-sluicegate"
        ),
        end="",
    )
    return 0


def complete(
    words: Sequence[str],
    commands: Mapping[str, str],
    parser_of: Callable[[str], argparse.ArgumentParser],
) -> int:
    """Print the completions of the last word, a line each, and the directive of kubectl.

    Parameters
    ----------
    commands : summaries by name. parser_of : makes the parser of one of them.
    """
    *before, last = words or [""]
    command = next((word for word in before if word in commands), None)
    candidates: Iterator[str]
    if command is None:
        candidates = (f"{name}\t{text}" for name, text in commands.items() if name.startswith(last))
    else:
        candidates = _of_command(parser_of(command), before, last)
    for candidate in candidates:
        name, _, text = candidate.partition("\t")
        print(f"{clean_text(name)}\t{clean_text(text)}".rstrip())
    print(NO_FILES)
    return 0


def _of_command(parser: argparse.ArgumentParser, before: Sequence[str], last: str) -> Iterator[str]:
    options = {name: action for action in parser._actions for name in action.option_strings}  # noqa: SLF001
    asking = options.get(before[-1]) if before else None
    if asking is not None and asking.nargs != 0:
        yield from (str(choice) for choice in asking.choices or () if str(choice).startswith(last))
        return
    if last.startswith("-"):
        yield from (
            f"{name}\t{option.help or ''}"
            for name, option in options.items()
            if name.startswith(last)
        )
        return
    if "--context" in options:
        yield from (name for name in _products(before) if name.startswith(last))


def _products(before: Sequence[str]) -> list[str]:
    """Return the product names in the given namespace; empty if the request takes too long."""
    options_given = {"namespace": "", "context": "", "kubeconfig": ""}
    for name, value in pairwise(before):
        long = {"-n": "namespace"}.get(name, name.removeprefix("--"))
        if long in options_given:
            options_given[long] = value
    args = argparse.Namespace(**options_given, as_user="", as_groups=[])
    try:
        with opened(args) as session:
            request = list_page(DATA_PRODUCTS, namespace=session.namespace, limit=500)
            answer = session.client.send(replace(request, seconds=SECONDS))
    except SluicegateError:
        return []
    return [item["metadata"]["name"] for item in answer.get("items") or ()]
