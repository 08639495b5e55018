"""Rows of pods that are scraped, or count outcomes, without their revision."""

from collections import Counter
from collections.abc import Iterable, Mapping

from sluicegate.prometheus.result_table import KINDS_WITHOUT_VERSION, Table
from sluicegate.prometheus.targets import Target
from sluicegate.slo.indicators import Labels
from sluicegate.slo.queries import QueryKind


def assign_unlabelled(
    tables: Mapping[QueryKind, Table], targets: Iterable[Target]
) -> Mapping[QueryKind, Table]:
    """Assign rows with a version's name, but without revision, to the only version of that name.

    Series from before an upgrade have no revision, nor do counters of a service with an older
    library. If two live versions have the same name, such a row is ambiguous and belongs to
    neither.
    """
    owners = _owners_of_pods(targets)
    if not owners:
        return tables
    return {
        kind: table if kind in KINDS_WITHOUT_VERSION else _table_of_owners(table, owners)
        for kind, table in tables.items()
    }


def _owners_of_pods(targets: Iterable[Target]) -> dict[Labels, str]:
    """Return identities with a revision, by namespace, product and name; none that share a name."""
    owners: dict[Labels, str] = {}
    for target in targets:
        named_versions = [
            (version.partition("/")[0], version) for version in target.versions if "/" in version
        ]
        times = Counter(name for name, _ in named_versions)
        owners.update(
            {
                (*target.key, name): version_name
                for name, version_name in named_versions
                if times[name] == 1
            }
        )
    return owners


def _table_of_owners(table: Table, owners: Mapping[Labels, str]) -> Table:
    unversioned_keys = [key for key in table if key[:3] in owners]
    if not unversioned_keys:
        return table
    owned_table = dict(table)
    for key in unversioned_keys:
        own_key = (*key[:2], owners[key[:3]], *key[3:])
        owned_table[own_key] = {**owned_table.pop(key), **owned_table.get(own_key, {})}
    return owned_table
