# ruff: noqa: INP001 - run by its name, from the folder that is a bento's `src`
"""`python -m shadow`: the command of this product's Jobs of shadow phases."""

import sys

from pricing.recipe import PricingRecipe

from sluicegate_service.shadow import main

if __name__ == "__main__":
    sys.exit(main(PricingRecipe.from_environment()))
