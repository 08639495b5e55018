"""The `sluicegate` command: the operator, and the tools around it.

Each sub-command is imported only when it is run, so that `plan` needs no Kubernetes client and the
operator no simulator.
"""

import argparse
import errno
import importlib
import keyword
import os
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final, NoReturn

from typing_extensions import override

from sluicegate.errors import InvalidInput, SluicegateError, invalid

ROOMS: Final = {
    "kubectl": {
        "get": "list products by team, market and state",
        "tree": "show a product with its versions and their objects",
        "status": "show the state of a product, or wait for it",
        "watch": "show a product live: weights, evidence, phase, events",
        "history": "show the versions of a product with their outcomes, its decisions, or what was tried",
        "graph": "draw which product depends on which",
        "promote": "approve a candidate, with its evidence",
        "approve": "agree to a candidate, for a role or a consumer",
        "refuse": "refuse a candidate, for a role or a consumer",
        "abort": "roll a candidate back",
        "rollback": "restore an earlier version",
        "retrain": "ask for a training",
        "suspend": "hold rollouts and retrainings of a product",
        "resume": "end the suspension of a product",
        "completion": "print the completion of a shell",
    },
    "models": {
        "init": "make a product from a template",
        "check": "check that a bento runs and fits its product, without a cluster",
        "train": "run a product's training locally, as its Job would",
        "pack": "pack a bento as an OCI image and push it",
        "runtime-constraints": "print the packages of the runtime image",
        "runtime-image": "build a runtime image with a bento's packages and push it",
    },
    "trials": {
        "plan": "show the objects that the operator would apply for a DataProduct",
        "record": "write the past of a product as a scenario, from Prometheus",
        "replay": "show the decisions over a history of counts",
        "simulate": "estimate how often and how fast a policy promotes, rolls back and retrains",
        "tune": "propose objectives, drops and margins from a recorded history",
        "explain": "explain the state of a product, with live numbers",
    },
    "reviews": {
        "report": "report on a product in a period, from its ledger",
        "review": "sign a review, or write the due dates of reviews as a calendar",
        "archive": "copy sealed reviews to a folder or a bucket",
        "dossier": "write the technical file of a product, from its spec and sealed ledgers",
    },
    "standards": {
        "export": "write products in the format of OpenSLO, ODPS, ODCS or Backstage, or with their status as a backup",
        "import": "write spec.slos from SLOs in the format of OpenSLO, or the status of a backup into a cluster",
    },
    "operations": {
        "doctor": "check that a cluster has what the operator needs",
        "writeback": "write the stable version into its file in Git",
        "web": "serve the portfolio page: all products, who needs a person, markets, reviews",
        "notify": "send messages about transitions of products to chat, mail and buses",
        "crds": "write the CustomResourceDefinition from the types",
        "run": "run the operator",
    },
}
"""Summaries of commands, by the package below `sluicegate.cli` that has their modules."""
COMMANDS: Final = {name: text for group in ROOMS.values() for name, text in group.items()}
EXIT_FAILED: Final = 1
EXIT_WRONG_INPUT: Final = 2
EXIT_INTERRUPTED: Final = 130
PLUGIN: Final = "kubectl-sluicegate"
"""Name of the program by which kubectl finds it as a plugin."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; return 0 for success, 1 for a failure, 2 for wrong input, 3 for a timeout."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    program = program_name(sys.argv[0])
    try:
        exit_code = _run(arguments, program)
    except BrokenPipeError:  # the reader of the pipe has ended, for example head
        _discard_output()
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return exit_code


def _run(arguments: Sequence[str], program: str) -> int:
    """Run the command of the arguments; its errors are printed."""
    command = next((word for word in arguments if word in COMMANDS), None)
    parser = _parser(command, program)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        with _cluster_access(args):
            exit_code = int(args.run(args))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        failure: SluicegateError = _of_system(error)
    except SluicegateError as error:
        failure = error
    else:
        return exit_code
    print(f"{program} {command}: {failure}", file=sys.stderr)
    exit_code = EXIT_WRONG_INPUT if isinstance(failure, InvalidInput) else EXIT_FAILED
    args.parser.write_error(arguments, exit_code, failure)
    return exit_code


def _cluster_access(args: argparse.Namespace) -> AbstractContextManager[None]:
    """Return the scope of the options that select a cluster, for a command that has them."""
    if not hasattr(args, "context"):
        return nullcontext()
    from sluicegate.cli.inputs.access_options import arguments_of_command

    return arguments_of_command(args)


def _of_system(error: OSError) -> SluicegateError:
    """Return the error of a path, or of standard output, as one with a way out."""
    if error.filename is not None:
        reason = f"can't be used ({error.strerror}): give another path"
        return invalid(str(error.filename), reason)
    if error.errno == errno.ENOSPC:
        _discard_output()
        return SluicegateError("standard output: is on a full disk: make room, or write elsewhere")
    return SluicegateError(str(error))


def _discard_output() -> None:
    """Let the rest of the output go nowhere, as the end of the interpreter writes it again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complete() -> int:
    """Answer kubectl's request for completions of its plugin."""
    from sluicegate.cli.kubectl.completion import complete as answer

    def parser_of(command: str) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog=command)
        importlib.import_module(module_of(command)).configure(parser)
        return parser

    return answer(sys.argv[1:], COMMANDS, parser_of)


def program_name(path: str) -> str:
    """Return the name of the program as typed: `kubectl sluicegate` if kubectl runs it as a plugin."""
    name = os.path.basename(path).removesuffix(".exe")  # noqa: PTH119 - pathlib isn't loaded here
    return "kubectl sluicegate" if name == PLUGIN else "sluicegate"


_UNKNOWN: Final = re.compile(r"argument COMMAND: invalid choice: '(.*)' \(choose from")


class _Parser(argparse.ArgumentParser):
    """A parser that proposes commands of a similar name, and has its errors in the format of `-o`, too."""

    _given: Sequence[str] = ()

    @override
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; `parser` of the result is that of the command."""
        self._given = args or ()
        parsed, unknown = super().parse_known_args(args, namespace)
        if not hasattr(parsed, "parser"):
            parsed.parser = self
        return parsed, unknown

    @override
    def error(self, message: str) -> NoReturn:
        """Exit with the code of wrong input."""
        unknown = _UNKNOWN.match(message)
        if unknown is not None:
            from difflib import get_close_matches

            close = get_close_matches(unknown[1], COMMANDS, n=3)
            proposal = f"; similar: {', '.join(close)}" if close else ""
            is_option_first = str(next(iter(self._given), "")).startswith("-")
            order = "; write options after the command" if is_option_first else ""
            message = f"there is no command {unknown[1]!r}{proposal}: `{self.prog} --help` lists all{order}"
        self.write_error(self._given, EXIT_WRONG_INPUT, invalid("", message))
        super().error(message)

    def write_error(self, arguments: Sequence[str], exit_code: int, error: SluicegateError) -> None:
        """Print an error as a document if the arguments select a format that programs read.

        A default format selects nothing: the lines of JSON of `replay` end without another document.
        """
        action = next(
            (option for option in self._actions if option.dest == "output" and option.choices), None
        )
        if action is None:
            return
        from sluicegate.cli.printing.errors import MACHINE_FORMATS, write_error

        output = _option(arguments, action.option_strings)
        if output in MACHINE_FORMATS.intersection(action.choices or ()):
            problems = error.problems if isinstance(error, InvalidInput) else ()
            command = self.prog.partition("sluicegate ")[2]
            write_error(output, command, str(error), exit_code=exit_code, problems=problems)


def _option(arguments: Sequence[str], names: Sequence[str]) -> str:
    """Return the value of an option, in each form that argparse accepts; empty if it isn't given."""
    for place, word in enumerate(arguments):
        if word in names:
            return "".join(arguments[place + 1 : place + 2])
        for name in names:
            if word.startswith(f"{name}=") or (not name.startswith("--") and word.startswith(name)):
                return word.removeprefix(name).removeprefix("=")
    return ""


def _parser(selected: str | None, program: str = "sluicegate") -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Runs a company's AI models as products on Kubernetes.",
        epilog=f"`{program} COMMAND --help` has the details. Exit codes: 0 done, 1 failed, 2 wrong"
        " input; 3 timed out, of commands that wait.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary}.".capitalize())
        if name == selected:
            module = importlib.import_module(module_of(name))
            module.configure(command)
            command.set_defaults(run=module.run, command=name)
    return parser


def module_of(command: str) -> str:
    """Return the name of the module that implements a command."""
    group = next(group for group, commands in ROOMS.items() if command in commands)
    name = f"{command}_" if keyword.iskeyword(command) else command.replace("-", "_")
    return f"sluicegate.cli.{group}.{name}"


if __name__ == "__main__":
    sys.exit(main())
