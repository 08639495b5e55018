"""Products of a namespace that can be read."""

from collections.abc import Iterator
from contextlib import contextmanager

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.errors import InvalidInput, Problem
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import Forbidden
from sluicegate.kube.resources import DATA_PRODUCTS


async def products_in(api: KubeApi, namespace: str) -> list[DataProduct]:
    """Return the products of a namespace, or of all if it is empty; invalid ones are skipped.

    Raises
    ------
    InvalidInput
        Only some namespaces may be listed.
    KubeError
        They can't be listed.
    """
    products: list[DataProduct] = []
    with suggest_namespace(namespace):
        async for page in api.pages(DATA_PRODUCTS, namespace=namespace, chunk=50):
            for document in page.items:
                try:
                    products.append(DataProduct.parse(document))
                except InvalidProduct:
                    continue  # its status has the mistake
    return products


@contextmanager
def suggest_namespace(namespace: str) -> Iterator[None]:
    """Convert the refusal to list all namespaces into a request to name one."""
    try:
        yield
    except Forbidden as error:
        if namespace:
            raise
        text = f"{error}: name each namespace that you may read by --namespace"
        raise InvalidInput([Problem("namespace", text)]) from error
