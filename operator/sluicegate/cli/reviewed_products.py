"""Products of a namespace, as far as they can be read."""

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.kube.client import KubeApi
from sluicegate.kube.resources import DATA_PRODUCTS


async def products_in(api: KubeApi, namespace: str) -> list[DataProduct]:
    """The products of a namespace, or of all when it is empty; of invalid ones none.

    Raises
    ------
    KubeError
        They can't be listed.
    """
    found: list[DataProduct] = []
    async for page in api.pages(DATA_PRODUCTS, namespace=namespace, chunk=50):
        for document in page.items:
            try:
                found.append(DataProduct.parse(document))
            except InvalidProduct:
                continue  # its status says what is wrong with it
    return found
