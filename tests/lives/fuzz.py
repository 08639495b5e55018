"""`make fuzz`: lives, one after the other, until it is told to stop.

Prints each seed, how many steps a second it took, and what fails, shrunk. SEED is where it begins.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from itertools import count

from tests.support.lives.life import draw_life, live
from tests.support.lives.telling import told


def main() -> None:
    """Live for ever."""
    logging.getLogger("sluicegate").addHandler(logging.NullHandler())
    logging.getLogger("sluicegate").propagate = False
    gc.freeze()  # what is imported stays
    steps, failed, begun = 0, 0, time.monotonic()
    try:
        for seed in count(int(os.environ.get("SEED", "1"))):
            life = draw_life(seed)
            lived = live(life)
            steps += lived.steps
            rate = steps / (time.monotonic() - begun)
            known = ", ".join(sorted({one.name for one in lived.known}))
            print(
                f"seed {seed}: {lived.steps} steps, {steps} in all, {rate:.0f} a second"
                f"{f'; known: {known}' if known else ''}",
                flush=True,
            )
            if lived.violations:
                failed += 1
                print(told(life, lived.violations[0]), flush=True)
    except KeyboardInterrupt:
        print(f"{steps} steps, {failed} lives failed")


if __name__ == "__main__":
    main()
