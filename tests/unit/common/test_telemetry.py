"""Logs say what happened, in which request, and nothing that was said there."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, structlog
from penstock_common.messaging.envelope import CONTEXT, Context
from penstock_common.settings import BusSettings, LogSettings
from penstock_common.telemetry import configure_logging

configure_logging("tiny", LogSettings(format=%r))
log = structlog.get_logger()
CONTEXT.set(Context(tenant="t", correlation="c", traceparent="00-a-b-01"))
log.info("thing.happened", number=1)
log.debug("thing.considered")
log.info("bus.connected", bus=BusSettings(url="nats://penstock:hunter2@127.0.0.1"))


def fail(prompt):
    raise ValueError("no good")


def attempt():
    try:
        fail("a confidential prompt")
    except ValueError:
        log.exception("thing.failed")
        logging.getLogger("foreign").exception("foreign %%s", "words")


attempt()
"""


def logged(form: str) -> str:
    """What the program says on standard error."""
    program = [sys.executable, "-c", PROGRAM % form]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_hold_no_prompt_and_settings_no_secret(form: str) -> None:
    """A crash is told by its frames, not by what their variables held."""
    said = logged(form)
    assert "no good" in said
    assert "in attempt" in said or '"name": "attempt"' in said
    assert said.count("confidential") == 0
    assert "hunter2" not in said


def test_json_lines_carry_service_time_and_request() -> None:
    """Ours and the standard library's are of one form."""
    entries = [json.loads(line) for line in logged("json").splitlines()]
    assert [entry["event"] for entry in entries] == ["thing.happened", "bus.connected", "thing.failed", "foreign words"]
    assert all(
        (e["service"], e["tenant"], e["correlation"], e["trace"]) == ("tiny", "t", "c", "00-a-b-01") for e in entries
    )
    assert [entry["level"] for entry in entries] == ["info", "info", "error", "error"]
    assert entries[0]["number"] == 1
    assert all("ValueError" in json.dumps(entry) for entry in entries[2:])


def test_console_lines_are_for_people() -> None:
    """One line an event, no colours where it is no terminal."""
    said = logged("console")
    assert "thing.happened" in said.splitlines()[0]
    assert "\x1b[" not in said
