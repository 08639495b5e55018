"""`python -m demo [run|down|break|retrain|country|consumer|history|traffic]`; `make demo` runs it."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from cluster.backend_choice import choose_backend
from cluster.errors import ClusterError
from demo import consumers, countries, performance, removal, tries
from demo.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from cluster.backend import Backend

COMMANDS: dict[str, tuple[Callable[[Backend, Terminal], int], str]] = {
    "run": (performance.perform, "play the whole story; the default"),
    "down": (removal.remove, "remove what a demonstration made"),
    "break": (tries.break_new_version, "push a worse model, and see it rolled back"),
    "retrain": (tries.ask_for_retraining, "ask for a retraining, and see where it leads"),
    "country": (
        countries.shift_one_country,
        "let cars become cheaper in one country, and see where",
    ),
    "consumer": (
        consumers.release_worse_for_consumer,
        "release a pricing that is better by itself and worse for search-ranking",
    ),
    "history": (tries.show_history, "show the versions of both products, and what became of them"),
    "traffic": (tries.send_traffic, "send the market's traffic until Ctrl-C"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if what it promises really happened."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text)
    command = parser.parse_args(arguments).command or "run"
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return COMMANDS[command][0](choose_backend(), Terminal())
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"\ninterrupted: the traffic has stopped, the cluster runs on. `make demo"
            f"{'' if command in {'run', 'down'} else f'-{command}'}` begins anew, `make demo-down`"
            " cleans up.",
            file=sys.stderr,
        )
        return 130


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
