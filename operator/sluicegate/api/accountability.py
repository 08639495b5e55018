"""What the technical file of a product says of its model, beyond what is measured.

Field names follow model cards (Mitchell et al., 2019), whose headings CycloneDX has, too.
"""

from enum import StrEnum

from sluicegate.api.base import ApiModel, Date, Line, Text


class ModelCard(ApiModel):
    """What its users have to know of the model, and can't see in any measurement."""

    training_data: Text | None = None
    """Origin of the training data, and their gaps."""
    evaluation_data: Text | None = None
    """Choice of the hold-out rows."""
    metrics: Text | None = None
    """Reason for the choice of service level objectives."""
    out_of_scope: Text | None = None
    """Uses for which the model is not made."""
    ethical_considerations: Text | None = None
    """Risks for people, and the measures against them."""
    human_oversight: Text | None = None
    """People who may overrule the model, and their means."""


class RiskClass(StrEnum):
    """The risk of the product as a person assessed it, in the words of the EU's AI Act."""

    MINIMAL = "Minimal"
    LIMITED = "Limited"
    HIGH = "High"
    UNASSESSED = "Unassessed"


class Compliance(ApiModel):
    """A person's judgement of the product's risk; Sluicegate only passes it on."""

    risk_class: RiskClass = RiskClass.UNASSESSED
    """Class of the risk that the product is."""
    basis: Text | None = None
    """Reason for the class, e.g. an article or an assessment."""
    assessed_by: Line | None = None
    """Name of the person or office that judged it."""
    assessment_date: Date | None = None
    """Date of the judgement."""
