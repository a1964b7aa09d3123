"""Messages that could not be handled, and that nobody has acknowledged."""

import httpx

from penstock.doctor.finding import Finding, Level, Patient

DEAD_LETTERS = "dead letters"
SUMMARY = "/api/v1/admin/dead-letters/summary"
SECONDS = 8.0


async def check_dead_letters(patient: Patient) -> list[Finding]:
    """One finding a consumer; the API keeps them, wherever the bus is."""
    if patient.state is None:
        return [Finding(DEAD_LETTERS, Level.SKIPPED, patient.why_not)]
    where, headers = patient.state.base_url, {"authorization": f"Bearer {patient.state.admin_key}"}
    async with httpx.AsyncClient(base_url=where, timeout=SECONDS, trust_env=False, headers=headers) as http:
        try:
            consumers = (await http.get(SUMMARY)).raise_for_status().json()["consumers"]
        except httpx.TransportError:  # the check of the API says more
            return [Finding(DEAD_LETTERS, Level.SKIPPED, "the API, which keeps them, does not answer", where)]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            problem = f"the API does not tell of dead letters: {str(error) or type(error).__name__}"
            return [Finding(DEAD_LETTERS, Level.FAIL, problem, where, "see: penstock logs api")]
    waiting = {consumer: states["waiting"] for consumer, states in consumers.items() if states.get("waiting")}
    return [_buried(consumer, count) for consumer, count in sorted(waiting.items())] or [Finding(DEAD_LETTERS)]


def _buried(consumer: str, count: int) -> Finding:
    problem = f"{count} message(s) could not be handled, and nobody has acknowledged them"
    mend = f"see: penstock dlq ls --consumer {consumer}; mend the cause, then retry or acknowledge them"
    return Finding(DEAD_LETTERS, Level.FAIL, problem, f"dlq.{consumer}", mend)
