"""The stack of compose.yaml, built and run: it answers, agrees with itself, keeps its state, and may do little."""

import json

import pytest

from penstock.platform.credentials import SERVICES
from tests.compose.conftest import Stack

USER = "10001"


def answered(stack: Stack) -> str:
    """The text of one streamed answer."""
    question = "Say something long."
    stream = stack.client().chat.completions.create(
        model="sim/fast", stream=True, messages=[{"role": "user", "content": question}]
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def agreed(stack: Stack) -> int:
    """The requests whose records reconcile compared; it fails where they differ."""
    found: int = json.loads(stack.penstock("reconcile", "--json"))["requests"]
    return found


def test_an_answer_is_streamed_charged_and_agreed_on(stack: Stack) -> None:
    """A client's request passes api, bus and inference; ledger and the engine's own count agree on it."""
    before = json.loads(stack.penstock("usage", "--json"))["requests"]
    assert len(answered(stack)) > 20
    after = json.loads(stack.penstock("usage", "--json"))["requests"]
    assert after == before + 1
    assert agreed(stack) == after


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_nothing_but_its_work(stack: Stack, service: str) -> None:
    """No root, no capabilities, no new privileges, no writing outside of its volumes."""
    status = stack.compose("exec", "--no-TTY", service, "cat", "/proc/1/status")
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert facts["Uid"].split() == [USER] * 4
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"].strip() == "1"
    written = stack.compose("exec", "--no-TTY", service, "sh", "-c", "touch /x /opt/x 2>/dev/null || echo refused")
    assert written == "refused\n"


def test_operator_sees_the_bus_as_declared(stack: Stack) -> None:
    """The job before the services made all that the topology says, and a second run changes nothing."""
    assert stack.penstock("topology", "diff") == "the bus is as declared\n"
    assert "went from" not in stack.compose("run", "--rm", "--no-TTY", "migrate")


def test_only_the_api_is_reachable_from_outside(stack: Stack) -> None:
    """One published port on the loopback address, and no way out for those that call nobody."""
    published = [line for line in stack.compose("ps", "--format", "{{.Ports}}").splitlines() if "->" in line]
    assert published == [f"127.0.0.1:{stack.port}->8080/tcp"]
    code = "import socket; socket.create_connection(('1.1.1.1', 53), 3)"
    tried = stack.compose("exec", "--no-TTY", "billing", "sh", "-c", f'python -c "{code}" 2>/dev/null || echo no way')
    assert tried == "no way\n"


def test_everything_stopped_and_started_again_knows_what_it_knew(stack: Stack) -> None:
    """Containers hold no state: after `down` the volumes bring back keys, books and streams."""
    answered(stack)
    before = json.loads(stack.penstock("usage", "--json"))
    stack.compose("down", "--timeout", "20")
    stack.up()
    assert json.loads(stack.penstock("usage", "--json")) == before
    assert answered(stack)
    assert agreed(stack) == before["requests"] + 1
