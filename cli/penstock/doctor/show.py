"""The report of an examination."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer

from penstock.doctor.finding import Finding, Level

COLOURS = {Level.OK: "green", Level.SKIPPED: "bright_black", Level.WARN: "yellow", Level.FAIL: "red"}


def as_data(findings: Sequence[Finding]) -> dict[str, Any]:
    """For scripts."""
    return {"healthy": is_healthy(findings), "findings": [asdict(finding) for finding in findings]}


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.level is not Level.FAIL for finding in findings)


def print_findings(findings: Sequence[Finding]) -> None:
    """One line a check, more where something is wrong."""
    for finding in findings:
        level = typer.style(f"{finding.level.value:<8}", fg=COLOURS[finding.level])
        typer.echo(f"{level} {finding.check}{f': {finding.problem}' if finding.problem else ''}")
        if finding.level in (Level.WARN, Level.FAIL):
            typer.echo(f"         where: {finding.where}" if finding.where else "", nl=bool(finding.where))
            typer.echo(f"         mend:  {finding.mend}" if finding.mend else "", nl=bool(finding.mend))
    wrong = sum(finding.level is Level.FAIL for finding in findings)
    typer.echo(f"\n{wrong} problem(s) found." if wrong else "\nNo problem found.")
