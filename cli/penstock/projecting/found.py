"""Which projections there are."""

from penstock.events.choosing import ChoiceInvalid
from penstock_api import projections as of_api
from penstock_billing import projections as of_billing
from penstock_common.projection import Projection

PROJECTIONS = {each.name: each for each in (*of_api.PROJECTIONS, *of_billing.PROJECTIONS)}


def projection_of(name: str) -> Projection:
    """The one of this name. Raises ChoiceInvalid with the names that there are."""
    if found := PROJECTIONS.get(name):
        return found
    raise ChoiceInvalid(f"There is no projection {name[:80]!r}; there are {', '.join(PROJECTIONS)}.")
