"""A report for people."""

from penstock.auditing.report import Report
from penstock.tables import console, table

SHOWN = 100
"""Messages of one kind; --json has more."""


def show(report: Report) -> None:
    """Print each consumer's balance, and what does not balance with what to do."""
    shown = table("consumer", "published", "done", "dead", "waiting", "missing", title=f"Since {report.since}")
    for tally in report.tallies:
        numbers = (tally.published, tally.done, tally.dead, tally.waiting, tally.missing)
        if any(numbers):
            shown.add_row(tally.consumer, *map(str, numbers))
    console().print(shown)
    for line in summary(report):
        console().print(line, highlight=False)


def summary(report: Report) -> list[str]:
    """What does not balance, and what could not be told; the last line is the verdict."""
    lines = [
        f"missing: {entry.message_id} of {entry.subject} for {entry.consumer}, "
        f"said by {entry.service} at {entry.said_at:%Y-%m-%d %H:%M:%S}; say it again: {entry.mend}"
        for entry in report.missing[:SHOWN]
    ]
    lines += [f"missing: request {id_} has no end; see: penstock reconcile" for id_ in report.overdue[:SHOWN]]
    lines += [f"never said: {odd.message_id}, handled by {odd.consumer}" for odd in report.unsaid[:SHOWN]]
    lines += [f"there twice: {odd.message_id} of {odd.consumer} on {odd.day}" for odd in report.twice[:SHOWN]]
    if report.unpublished:
        lines.append(f"{report.unpublished} message(s) have been in an outbox for a minute, and not on the bus")
    if report.doubted:
        lines.append(f"{report.doubted} message(s) are not on the bus and not done, too young to be called missing")
    lines += [f"not compared: {name}: {reason}" for name, reason in report.unaudited.items()]
    return [*lines, verdict(report)]


def verdict(report: Report) -> str:
    """One sentence."""
    if report.clean:
        return "Everything that was said is done, dead or under way."
    parts = {
        "missing": report.missing_count,
        "never said": len(report.unsaid),
        "there twice": len(report.twice),
    }
    return f"{', '.join(f'{count} {what}' for what, count in parts.items() if count)}."
