"""What a rebuild did or would do, and what stands in the way of a move, for people."""

from collections.abc import Sequence

from penstock.moving.check import Finding
from penstock.moving.rebuild import Rebuilt
from penstock.tables import console, table

MOST_SHOWN = 8


def show_rebuilt(rebuilt: Rebuilt, *, dry_run: bool) -> None:
    """Print what was made, the counts by topic, and what was left alone."""
    would = "would be " if dry_run else ""
    made = ", ".join(rebuilt.made[:MOST_SHOWN]) + (f" and {more} more" if (more := _more(rebuilt)) else "")
    console().print(f"{would}made: {made}" if made else "nothing is missing on the bus")
    tally = rebuilt.tally
    if tally.looked_at:
        shown = table("topic", "published before", "not handled", "older", "unknown")
        for topic in sorted(tally.looked_at):
            counts = (tally.looked_at[topic], tally.owed[topic], tally.older[topic], tally.untold[topic])
            shown.add_row(topic, *map(str, counts))
        console().print(shown)
    for consumer, count in sorted(tally.consumers.items()):
        console().print(f"{consumer}: {count} not handled")
    console().print(f"{would}published again: {tally.owed.total() if dry_run else rebuilt.published}")
    if older := tally.older.total():
        console().print(f"{older} older than the streams reach were not handled: --since says how far back to go")
    if untold := tally.untold.total():
        console().print(f"{untold} are older than any inbox tells of; penstock events replay can say them again")


def _more(rebuilt: Rebuilt) -> int:
    return max(0, len(rebuilt.made) - MOST_SHOWN)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print what was looked at, and what to do."""
    for finding in findings:
        mend = f" → {finding.mend}" if finding.mend else ""
        console().print(f"{'!!' if mend else 'ok'}  {finding.what}: {finding.found}{mend}", markup=False)
