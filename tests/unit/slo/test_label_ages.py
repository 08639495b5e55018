"""Classes of the age of labels: those that the library counts."""

from __future__ import annotations

from sluicegate.slo import label_ages
from sluicegate_service import outcomes


def test_the_operator_reads_the_label_age_classes_of_the_library():
    assert label_ages.AGE_BOUNDS_SECONDS == outcomes.AGE_BOUNDS
    assert label_ages.AGES == outcomes.AGES
