"""Requests for which there is no room: refused where somebody waits for the answer, else left on the bus for later."""

import structlog

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import GenerateText, Outcome
from penstock_common.messaging.delivery import HandBack
from penstock_inference.domain.ending import End, failure_of, ungenerated
from penstock_inference.domain.seats import Overloaded
from penstock_inference.generating.attempt import AGAIN_SECONDS, PROMISED_SECONDS
from penstock_inference.generating.generator import Generator

log = structlog.get_logger()

UNKNOWN_SECONDS = 5.0  # to wait before another try, where nothing is known of the pace
SHORTEST, LONGEST = 1.0, 60.0


def overloaded(reason: str, seconds: float | None) -> Overloaded:
    """The refusal, with when to try again: once those who wait now have begun, but within a minute."""
    after = min(max(UNKNOWN_SECONDS if seconds is None else seconds, SHORTEST), LONGEST)
    sentence = f"The platform is at its limit: {reason}. Nothing was charged; send the request again in {after:.0f} s."
    return Overloaded(sentence, after)


async def turn_away(generator: Generator, command: GenerateText, error: Overloaded) -> None:
    """End a request that nobody began. Raises HandBack where it was accepted for good, or somebody did begin it.

    The end is recorded before it is told, as every other one: an acknowledgement that is lost brings the command again,
    and who was told to come back later must not be charged for it.
    """
    if command.is_promised:
        raise HandBack(max(error.retry_after, PROMISED_SECONDS))
    end = refused(command, error, generator)
    if await generator.records.finish(end):
        log.info("request.refused", request_id=str(command.request_id), tenant=str(command.tenant), code=error.code)
        generator.listeners.send(command.reply_to, command.request_id, end.frames)
    elif not await generator.repeat_end(command):
        raise HandBack(AGAIN_SECONDS)


def refused(command: GenerateText, error: Overloaded, generator: Generator) -> End:
    """The end of a request that was not let in."""
    decision = Decision("admit", "refused", error.code)
    return ungenerated(command, Outcome.FAILED, decision, generator.clock.now(), failure_of(error))
