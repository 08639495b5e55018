# ruff: noqa: INP001 - run by its name, from the folder that is a bento's `src`
"""`python -m shadow`: what the shadow phase's Jobs of this product run."""

import sys

from pricing.recipe import PricingRecipe

from sluicegate_service.shadow import main

if __name__ == "__main__":
    sys.exit(main(PricingRecipe.from_environment()))
