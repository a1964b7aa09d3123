"""A report for people."""

from rich.console import Console
from rich.table import Table

from penstock.money import readable
from penstock.reconcile.report import Report


def show(report: Report, console: Console | None = None) -> None:
    """Print what was compared and each difference."""
    console = console or Console()
    console.print(f"{report.requests} requests ended, {readable(report.charged_nano)} charged")
    if report.engine_attempts is None:
        console.print("The engine's own count was not compared: name its data folder with --data.")
    else:
        console.print(f"{report.engine_attempts} attempts counted by the simulated engine")
    if report.in_flight:
        console.print(f"{len(report.in_flight)} still running")
    if report.clean:
        console.print("All records agree.")
        return
    table = Table("request", "difference", "detail", title=f"{len(report.differences)} differences")
    for difference in sorted(report.differences):
        table.add_row(difference.request_id or "—", difference.kind, difference.detail)
    console.print(table)
