# ruff: noqa: INP001 - run by its name, from the folder that is a bento's `src`
"""`python -m train`: the command of this product's training Jobs."""

import sys

from pricing.recipe import PricingRecipe
from threadpoolctl import threadpool_limits

from sluicegate_service.trainer import main

if __name__ == "__main__":
    # OpenMP's threads spin while they wait for one another: on a node with busy cores two of them
    # were thirty times slower than one.
    with threadpool_limits(limits=1):
        sys.exit(main(PricingRecipe.from_environment()))
