"""`sluicegate resume`: end the suspension of a product; by Git, or live."""

from functools import partial
from typing import Final

from sluicegate.cli.kubectl import suspend

configure: Final = partial(suspend.configure, change="ends the suspension of a product")
run: Final = partial(suspend.run, suspend=False)
