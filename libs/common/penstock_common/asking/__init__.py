"""How a service asks inference over the bus, and gets its answer however often either side dies."""

from penstock_common.asking.asker import Asker
from penstock_common.asking.question import Answered, AskFailed, Question

__all__ = ["Answered", "AskFailed", "Asker", "Question"]
