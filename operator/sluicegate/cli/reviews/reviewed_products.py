"""Products of a namespace, as far as they can be read."""

from collections.abc import Iterator
from contextlib import contextmanager

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.errors import InvalidInput, Problem
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import Forbidden
from sluicegate.kube.resources import DATA_PRODUCTS


async def products_in(api: KubeApi, namespace: str) -> list[DataProduct]:
    """The products of a namespace, or of all when it is empty; of invalid ones none.

    Raises
    ------
    InvalidInput
        Only those of some namespaces may be listed.
    KubeError
        They can't be listed.
    """
    found: list[DataProduct] = []
    with naming_namespaces(namespace):
        async for page in api.pages(DATA_PRODUCTS, namespace=namespace, chunk=50):
            for document in page.items:
                try:
                    found.append(DataProduct.parse(document))
                except InvalidProduct:
                    continue  # its status says what is wrong with it
    return found


@contextmanager
def naming_namespaces(namespace: str) -> Iterator[None]:
    """Ask for a namespace where all may not be listed: people's roles are bound in their own."""
    try:
        yield
    except Forbidden as error:
        if namespace:
            raise
        text = f"{error}: name each namespace that you may read by --namespace"
        raise InvalidInput([Problem("namespace", text)]) from error
