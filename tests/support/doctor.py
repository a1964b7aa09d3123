"""`penstock doctor` as tests ask it."""

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from penstock.main import app


@dataclass(frozen=True)
class Report:
    """What it said, and how it ended."""

    code: int
    findings: list[dict[str, Any]]

    def of(self, check: str) -> dict[str, Any]:
        """The worst finding of a check."""
        levels = ("fail", "warn", "skipped", "ok")
        return min((f for f in self.findings if f["check"] == check), key=lambda f: levels.index(f["level"]))

    @property
    def wrong(self) -> dict[str, str]:
        """Problem by check, of those that failed."""
        return {f["check"]: f["problem"] for f in self.findings if f["level"] == "fail"}

    def names(self, check: str, problem: str, where: str) -> bool:
        """Whether the check failed for this reason at this place, said how to mend it, and ended with 1."""
        found = self.of(check)
        told = problem in found["problem"] and where in found["where"] and bool(found["mend"])
        return (found["level"], told, self.code) == ("fail", True, 1)


def report_of(output: str, code: int) -> Report:
    """Read what `--json` printed; no finding without its sentence."""
    content = json.loads(output)
    assert content["healthy"] == (code == 0)
    assert all(f["problem"] for f in content["findings"] if f["level"] != "ok")
    return Report(code, content["findings"])


def doctor(*arguments: str, **environment: str) -> Report:
    """Ask it in this process."""
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments], env=environment)
    assert result.exit_code in {0, 1}, result.output + repr(result.exception)
    return report_of(result.stdout, result.exit_code)
