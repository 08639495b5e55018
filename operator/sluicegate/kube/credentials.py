"""Credentials: in-cluster service account, or the kubeconfig of a person or a test.

The client and Kopf's watches use the same configuration, so that they always reach the same
cluster.
"""

import os
from collections.abc import Callable, Coroutine
from functools import partial
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from sluicegate.kube.errors import Unauthorized
from sluicegate.kube.kubeconfig import Selection, access_of_pod, impersonation_headers

# More than the concurrent requests of workers, events, lease and resync.
CONNECTIONS = 64


def login_of(selection: Selection) -> Callable[[], Coroutine[Any, Any, Configuration]]:
    """Return a login by the options of a command line."""
    return partial(login, selection)


async def login(selection: Selection | None = None) -> Configuration:
    """Read host, certificate authority and credentials.

    A service account's token is read again by the client each minute; a kubeconfig's token
    or plugin is read again when the transport logs in again after a 401.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    try:
        selection_used = selection or Selection()
        if access_of_pod(os.environ) and not (selection_used.kubeconfig or selection_used.context):
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]
                # The client reads the variable only when it is imported.
                config_file=selection_used.kubeconfig or os.environ.get("KUBECONFIG"),
                context=selection_used.context or None,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError) as error:
        raise Unauthorized(
            f"no credentials: {error}; run in a pod with a service account, or set KUBECONFIG"
        ) from error
    configuration.impersonation = impersonation_headers(selection_used, os.environ)
    # By default, aiohttp reads the environment for each request: two jobs for its
    # threads, for the proxy and for a netrc file, which cost more than the request itself.
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = configuration.proxy or proxy_for(configuration.host)
    return configuration


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment (`HTTPS_PROXY`, `NO_PROXY`) sets for this URL."""
    url_parts = urlsplit(url)
    if not url_parts.hostname or proxy_bypass(url_parts.hostname):
        return None
    return getproxies().get(url_parts.scheme)


async def bearer_of(configuration: Configuration) -> str | None:
    """Return the value for the Authorization header; None if certificates authenticate."""
    settings = await configuration.auth_settings()
    bearer = settings.get("BearerToken")
    return str(bearer["value"]) if bearer else None


def tls_of(configuration: Configuration) -> SSLContext:
    """Return certificate authority and client certificate, as the official client uses them."""
    return RESTClientObject(configuration).ssl_context
