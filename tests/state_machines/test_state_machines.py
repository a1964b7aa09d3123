"""Random walks end where the model says. `make proof` makes thousands of new ones; here they are few, and the same."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.state_machines.ledger import LedgerMachine
from tests.state_machines.machine import Machine, walks
from tests.state_machines.outbox import OutboxMachine
from tests.state_machines.take_over import TakeOverMachine
from tests.state_machines.ticks import TickMachine
from tests.support.databases import Databases

pytestmark = [pytest.mark.integration, pytest.mark.timeout(0)]


def walk(machine: type[Machine], **where: Any) -> None:
    """Walk on servers that are given as the machine's own settings."""
    run_state_machine_as_test(type(machine.__name__, (machine,), where), settings=walks())


def test_outbox_and_inbox(trial_url: str) -> None:
    """What is committed takes effect exactly once."""
    walk(OutboxMachine, url=trial_url)


def test_ledger(databases: Databases) -> None:
    """Each request is charged once, and the books sum to zero."""
    walk(LedgerMachine, url=databases.services["billing"])


def test_ticks(databases: Databases, tmp_path: Path) -> None:
    """Each moment fires once."""
    walk(TickMachine, url=databases.services["scheduler"], keyring=tmp_path / "keyring")


def test_take_over(databases: Databases, tmp_path: Path) -> None:
    """One end counts."""
    walk(TakeOverMachine, url=databases.services["inference"], keys=tmp_path / "keys")
