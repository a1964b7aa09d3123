"""A report for people."""

from penstock.money import readable
from penstock.reconcile.report import Report
from penstock.tables import console, table


def show(report: Report) -> None:
    """Print what was compared and each difference."""
    for line in summary(report):
        console().print(line)
    if report.clean:
        return
    shown = table("request", "difference", "detail", title=f"{len(report.differences)} differences")
    for difference in sorted(report.differences):
        shown.add_row(difference.request_id or "—", difference.kind, difference.detail)
    console().print(shown)


def summary(report: Report) -> list[str]:
    """What was compared, a line a record."""
    lines = [f"{report.requests} requests ended, {readable(report.charged_nano)} charged"]
    if report.engine_attempts is None:
        lines.append("The engine's own count was not compared: name its data folder with --data.")
    else:
        lines.append(f"{report.engine_attempts} attempts counted by the simulated engine")
    if report.in_flight:
        lines.append(f"{len(report.in_flight)} still running")
    return [*lines, "All records agree."] if report.clean else lines
