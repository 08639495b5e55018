"""Several programs at a time: Kubernetes from the start, and no core idle beside it."""

from __future__ import annotations

from cluster.builds import build_all
from cluster.versions import versions

# What follows `-o` is to be built. Kubernetes isn't finished before etcd is begun.
GO = """
test "$1" = env && echo go{go} && exit
until test "$1" = -o; do shift; done
: > {traces}/"${{2##*/}}"
case "$2" in */kube) until test -e {traces}/etcd; do :; done ;; esac
: > "$2"
"""


def test_kubernetes_is_built_once_and_in_parallel_with_others(install, tmp_path):
    traces = tmp_path / "traces"
    traces.mkdir()
    install("env", 'exec /usr/bin/env "$@"')
    install("go", GO.format(go=versions().go, traces=traces))

    built = build_all(["etcd", "kube-apiserver", "kubectl", "coredns"])

    assert list(built) == ["etcd", "kube-apiserver", "kubectl", "coredns"]
    assert all(path.name == name and path.exists() for name, path in built.items())
    assert built["kubectl"].resolve() == built["kube-apiserver"].resolve()
    assert {path.name for path in traces.iterdir()} == {"etcd", "kube", "coredns"}
