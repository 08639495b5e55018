"""Access of a command to the API server, read from kubeconfig files without a client library.

The official client takes over a second to import, too long for a command that reads one object. So
this module reads the documented format: several files, contexts, certificates, tokens, exec
plugins, proxies and impersonation. The operator uses `sluicegate.kube.credentials`.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sluicegate.errors import invalid, unreadable

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Selection:
    """Options of the command line; empty where the kubeconfig decides.

    Attributes
    ----------
    user, groups : user and groups to impersonate.
    """

    kubeconfig: str = ""
    context: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """Address, certificates and credentials of the API server.

    Attributes
    ----------
    authority, certificate, key : PEM texts; empty for those of the system, or for none.
    server_name : the name in the server's certificate, if it differs from the address.
    proxy : address of an HTTP proxy; empty for that of the environment.
    namespace : that of the context.
    headers : Authorization and Impersonate-…, if they are set.
    """

    server: str
    namespace: str = "default"
    authority: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    verify: bool = True
    server_name: str = ""
    proxy: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def read_access(selection: Selection, environment: Mapping[str, str]) -> Access:
    """Read address and credentials of the API server.

    Raises
    ------
    InvalidInput
        A file, a context or an entry is missing or wrong; the message names it and the way out.
    """
    if access_of_pod(environment) and not (selection.kubeconfig or selection.context):
        return _with_impersonation(_pod_access(environment), selection, {})
    config, context = _config_and_context(selection, environment)
    cluster = _named_entry(config, "clusters", _word_of(context, "cluster"))
    account = _word_of(context, "user")
    user = _named_entry(config, "users", account) if account else {}
    server = _word_of(cluster, "server")
    if not server:
        raise invalid(f"clusters[{context.get('cluster')}].server", "is missing: write its URL")
    access = Access(
        server=server.rstrip("/"),
        namespace=_word_of(context, "namespace") or "default",
        authority=_pem_file(cluster, "certificate-authority"),
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=_word_of(cluster, "tls-server-name"),
        proxy=_word_of(cluster, "proxy-url"),
    )
    return _with_impersonation(_with_user(access, user, environment), selection, user)


def check_kubeconfig(selection: Selection, environment: Mapping[str, str]) -> None:
    """Check that the files of the kubeconfig can be read and have the context; no plugin is run.

    Raises
    ------
    InvalidInput
        No file exists, or one or the context is wrong; the message names it and the way out.
    """
    if selection.kubeconfig or selection.context or not access_of_pod(environment):
        _config_and_context(selection, environment)


def _config_and_context(
    selection: Selection, environment: Mapping[str, str]
) -> tuple[Entry, Entry]:
    """Return the merged configuration, and its selected context."""
    paths = _config_paths(selection, environment)
    config = _merged_config(paths)
    name = selection.context or _word_of(config, "current-context")
    if not name:
        files = os.pathsep.join(map(str, paths))
        raise invalid("current-context", f"no context is set in {files}: choose one by --context")
    return config, _named_entry(config, "contexts", name)


def access_of_pod(environment: Mapping[str, str]) -> bool:
    """Return whether this process runs in a pod; an explicit KUBECONFIG has precedence."""
    return "KUBERNETES_SERVICE_HOST" in environment and "KUBECONFIG" not in environment


def _pod_access(environment: Mapping[str, str]) -> Access:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{host}:{port}",
        namespace=_text(SERVICE_ACCOUNT / "namespace").strip(),
        authority=_text(SERVICE_ACCOUNT / "ca.crt"),
        headers=(_bearer(_text(SERVICE_ACCOUNT / "token")),),
    )


def _config_paths(selection: Selection, environment: Mapping[str, str]) -> list[Path]:
    if selection.kubeconfig:
        return [Path(selection.kubeconfig)]
    listed_paths = [
        path_text for path_text in environment.get("KUBECONFIG", "").split(os.pathsep) if path_text
    ]
    return [Path(path_text) for path_text in listed_paths] or [Path.home() / ".kube" / "config"]


def _merged_config(paths: Sequence[Path]) -> Entry:
    """Merge several files into one configuration: the first file that sets a name or a value has precedence."""
    merged_config: Entry = {"contexts": {}, "clusters": {}, "users": {}}
    existing_paths = [path for path in paths if path.exists()]
    if not existing_paths:
        files = os.pathsep.join(map(str, paths))
        raise invalid(
            "kubeconfig", f"there is no {files}: set KUBECONFIG, or give --kubeconfig FILE"
        )
    for path in existing_paths:
        document = _document(path)
        if document.get("current-context"):
            merged_config.setdefault("current-context", document["current-context"])
        for kind in ("contexts", "clusters", "users"):
            for item in document.get(kind) or ():
                if isinstance(item, dict) and isinstance(item.get(kind[:-1]), dict):
                    merged_config[kind].setdefault(
                        str(item.get("name")), item[kind[:-1]] | {"": str(path.parent)}
                    )
    return merged_config


def _document(path: Path) -> Entry:
    text = _text(path)
    try:
        if text.lstrip().startswith("{"):
            document = json.loads(text)
        else:
            import yaml  # noqa: PLC0415 - a fifth of the start; a kubeconfig in JSON needs none

            document = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except ValueError as error:
        raise invalid(str(path), f"is no JSON: {error}") from error
    except Exception as error:  # yaml.YAMLError; yaml is imported only here
        raise invalid(str(path), f"is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict):
        raise invalid(str(path), "is no kubeconfig: write a mapping with clusters, users, contexts")
    return document


def _named_entry(config: Entry, kind: str, name: str) -> Entry:
    named_entry = config[kind].get(name)
    if named_entry is None:
        names = ", ".join(sorted(config[kind])) or "none"
        raise invalid(f"{kind}[{name}]", f"is missing in the kubeconfig, which has: {names}")
    entry: Entry = named_entry
    return entry


def _with_user(access: Access, user: Entry, environment: Mapping[str, str]) -> Access:
    if "auth-provider" in user:
        name = user["auth-provider"].get("name", "")
        raise invalid("user.auth-provider", f"{name} is no longer part of Kubernetes: use exec")
    access = replace(
        access, certificate=_pem_file(user, "client-certificate"), key=_pem_file(user, "client-key")
    )
    token = _word_of(user, "token")
    if user.get("tokenFile"):
        token = _text(_path(user, "tokenFile"))
    if "exec" in user:
        status = _access_of_plugin(user["exec"], user[""], access, environment)
        token = _word_of(status, "token")
        if status.get("clientCertificateData"):
            access = replace(
                access,
                certificate=str(status["clientCertificateData"]),
                key=_word_of(status, "clientKeyData"),
            )
    if token:
        return replace(access, headers=(_bearer(token),))
    if user.get("username"):
        user_and_password = f"{user['username']}:{_word_of(user, 'password')}".encode()
        basic_header = f"Basic {base64.b64encode(user_and_password).decode()}"
        return replace(access, headers=(("Authorization", basic_header),))
    return access


def _access_of_plugin(
    plugin: Entry, config_folder: str, access: Access, environment: Mapping[str, str]
) -> Entry:
    """Run an exec plugin and return its status: a token, or a certificate with its key."""
    version = _word_of(plugin, "apiVersion")
    if version not in EXEC_VERSIONS:
        raise invalid("user.exec.apiVersion", f"is {version}: use {EXEC_VERSIONS[0]}")
    spec: Entry = {"interactive": sys.stdin.isatty()}
    if plugin.get("provideClusterInfo"):
        authority = base64.b64encode(access.authority.encode()).decode()
        spec["cluster"] = {"server": access.server, "certificate-authority-data": authority}
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    plugin_environment = {
        variable["name"]: variable["value"] for variable in plugin.get("env") or ()
    }
    program = _word_of(plugin, "command")
    if os.sep in program:  # otherwise it is searched in PATH
        program = str(Path(config_folder) / program)
    command = [program, *map(str, plugin.get("args") or ())]
    try:
        completed_process = subprocess.run(
            command,
            env={**environment, **plugin_environment, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            stdout=subprocess.PIPE,  # the plugin may ask the person on standard input and error
            check=False,
        )
    except OSError as error:
        install_hint = _word_of(plugin, "installHint").strip() or "install it"
        raise invalid(
            "user.exec.command", f"{command[0]} can't be run ({error}): {install_hint}"
        ) from error
    if completed_process.returncode:
        raise invalid(
            "user.exec", f"{command[0]} ended with exit code {completed_process.returncode}: log in"
        )
    try:
        status = json.loads(completed_process.stdout)["status"]
    except (ValueError, LookupError, TypeError) as error:
        raise invalid("user.exec", f"{command[0]} printed no ExecCredential: {error}") from error
    return status if isinstance(status, dict) else {}


def _with_impersonation(access: Access, selection: Selection, user: Entry) -> Access:
    return replace(access, headers=(*access.headers, *_impersonation_headers(selection, user)))


def impersonation_headers(
    selection: Selection, environment: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return the headers by which a user and groups are impersonated: the selected ones, or those of the kubeconfig.

    Raises
    ------
    InvalidInput
        A file, a context or an entry of the kubeconfig is missing or wrong.
    """
    if access_of_pod(environment) and not (selection.kubeconfig or selection.context):
        return _impersonation_headers(selection, {})
    config, context = _config_and_context(selection, environment)
    account = _word_of(context, "user")
    return _impersonation_headers(
        selection, _named_entry(config, "users", account) if account else {}
    )


def _impersonation_headers(selection: Selection, user: Entry) -> tuple[tuple[str, str], ...]:
    name = selection.user or _word_of(user, "as")
    groups = selection.groups or tuple(map(str, user.get("as-groups") or ()))
    selection = replace(selection, user=name, groups=groups)
    user_headers = (("Impersonate-User", selection.user),) if selection.user else ()
    return (*user_headers, *(("Impersonate-Group", group) for group in selection.groups))


def _word_of(entry: Entry, name: str) -> str:
    """Return a field's text; empty if it is absent or null."""
    return str(entry.get(name) or "")


def _bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token.strip()}"


def _pem_file(entry: Entry, name: str) -> str:
    """Return the PEM text of a field: inline as base64 (…-data), or in a file."""
    if data := entry.get(f"{name}-data"):
        try:
            return base64.b64decode(str(data), validate=False).decode()
        except ValueError as error:
            raise invalid(f"{name}-data", f"is no base64 of PEM: {error}") from error
    return _text(_path(entry, name)) if entry.get(name) else ""


def _path(entry: Entry, name: str) -> Path:
    """Return a path of the kubeconfig; relative ones begin at the file's folder."""
    return Path(entry[""]) / str(entry[name])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(str(path), error) from error
