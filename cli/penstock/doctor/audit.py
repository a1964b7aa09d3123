"""What the audit of the bus found last."""

from penstock.auditing.place import Place, age_of, in_words
from penstock.doctor.finding import Finding, Level, Patient

AUDIT = "audit"
STALE = 15 * 60.0
"""Seconds; a look that takes long makes the pauses longer."""


async def check_audit(patient: Patient) -> list[Finding]:
    """Whether everything that was said is done, dead or under way."""
    if patient.state is None:
        return [Finding(AUDIT, Level.SKIPPED, patient.why_not)]
    place = Place.of(patient.folder.root)
    if not (report := place.last()):
        if patient.elsewhere:
            return [Finding(AUDIT, Level.SKIPPED, "no watch keeps its report here; run: penstock audit bus")]
        return [Finding(AUDIT, problem="no look yet; the first comes within a minute of the start")]
    if not report["clean"]:
        mend = "penstock audit bus names each message, and the command that says it again"
        return [Finding(AUDIT, Level.FAIL, in_words(report), str(place.report), mend)]
    if (age := age_of(report)) > STALE:
        problem = f"the last look was {age / 60:.0f} minutes ago"
        return [
            Finding(AUDIT, Level.WARN, problem, str(place.report), "see what penstock up said; run: penstock audit bus")
        ]
    return [Finding(AUDIT)]
