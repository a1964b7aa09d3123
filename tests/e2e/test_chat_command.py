"""`penstock chat`, `logs` and shell completion as a person uses them, on both buses."""

import json
import os
import pty
import signal
import subprocess
import time

import httpx
import pytest

from tests.support.platform import PENSTOCK, ROOT, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

RIVERS = " ".join(f"{name} {number}" for number, name in enumerate(["Rhine", "Loire", "Ebro", "Vistula", "Tagus"] * 8))


def chatting(platform: Platform, *arguments: str) -> "subprocess.Popen[str]":
    """A chat that is still going on."""
    return subprocess.Popen(
        [PENSTOCK, "chat", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PENSTOCK_DATA": str(platform.data)},
        # Whoever runs the tests in the background has SIGINT ignored, and so would the chat.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (it takes no lock)
    )


def test_a_question_is_answered(platform: Platform) -> None:
    """Word for word, with its usage; from a pipe as well."""
    answer = platform.cli_json("chat", "--model", "sim/fast", f"sim: say {RIVERS}")
    assert (answer["text"], answer["finish_reason"], answer["cuts"]) == (RIVERS, "stop", 0)
    assert answer["usage"]["completion_tokens"] > 40
    piped = chatting(platform, "--model", "sim/fast")
    assert piped.communicate(f"sim: say {RIVERS}", timeout=60)[0] == f"{RIVERS}\n"
    assert piped.returncode == 0


@pytest.mark.parametrize("model", ["sim/fast", "sim/slow"])
def test_a_flaky_connection_loses_nothing(platform: Platform, model: str) -> None:
    """However often it is cut, the text is whole, is generated once, and is charged once."""
    answer = platform.cli_json("chat", "--flaky", "--model", model, f"sim: say {RIVERS}")
    assert answer["text"] == RIVERS
    assert answer["cuts"] > 0
    end = time.monotonic() + 10
    while not (usage := platform.usage(answer["request_id"]))["requests"]:
        assert time.monotonic() < end
    assert usage["requests"] == 1
    assert usage["completion_tokens"] == answer["usage"]["completion_tokens"]


def test_an_api_that_is_killed_costs_no_word(platform: Platform) -> None:
    """Whoever chats waits a moment, and reads on where it was."""
    chat = chatting(platform, "--model", "sim/slow", f"sim: say {RIVERS}")
    assert chat.stdout
    assert chat.stderr
    first = chat.stdout.read(20)
    platform.kill("api")
    rest, errors = chat.stdout.read(), chat.stderr.read()
    assert chat.wait(10) == 0
    assert first + rest == f"{RIVERS}\n", errors
    assert "nothing lost" in errors


def test_ctrl_c_stops_the_answer(platform: Platform) -> None:
    """The generation ends, metered as far as it came, and the command ends as one that was interrupted."""
    before = totals(platform)
    chat = chatting(platform, "--model", "sim/slow", f"sim: say {RIVERS * 10}")
    assert chat.stdout
    assert chat.stderr
    first = chat.stdout.read(20)
    chat.send_signal(signal.SIGINT)
    stopped = time.monotonic()
    assert chat.wait(20) == 130
    assert (RIVERS * 10).startswith(first + chat.stdout.read())
    assert "(stopped, finish_reason: cancelled)" in chat.stderr.read()
    while (now := totals(platform))[0] == before[0]:
        assert time.monotonic() - stopped < 15, "the generation goes on"
        time.sleep(0.2)
    assert 0 < now[1] - before[1] < 200


def totals(platform: Platform) -> tuple[int, int]:
    """Requests and completion tokens of the whole platform."""
    usage = platform.cli_json("usage")
    return usage["requests"], usage["completion_tokens"]


def test_a_conversation_remembers(platform: Platform) -> None:
    """On a terminal turn follows turn, and the model is told what was said; the end of input ends it."""
    ours, theirs = pty.openpty()
    chat = subprocess.Popen(
        [PENSTOCK, "chat", "--model", "sim/fast", "--system", "sim: say one\nsim: say two of {last}"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PENSTOCK_DATA": str(platform.data)},
    )
    os.close(theirs)
    os.write(ours, b"first\nsecond\n\x04")
    told = chat.communicate(timeout=60)[0]
    os.close(ours)
    assert chat.returncode == 0
    assert told.split("you> ")[1:3] == ["one\n\n", "two of second\n\n"]


def test_refusals_say_what_to_do(platform: Platform) -> None:
    """A model that is not there, and nothing to ask."""
    unknown = platform.cli("chat", "--model", "no/such", "Hello", check=False)
    assert (unknown.returncode, "no/such" in unknown.stderr) == (1, True), unknown.stderr
    nothing = chatting(platform, "--json")
    assert "nothing to ask" in nothing.communicate("", timeout=60)[1]
    assert nothing.returncode == 2
    much = chatting(platform, "--model", "sim/fast")
    assert "more than 2,000,000 characters" in much.communicate("x" * 2_000_001, timeout=60)[1]
    assert much.returncode == 2


def test_logs_show_what_the_processes_said(platform: Platform) -> None:
    """Merged in the order of time, by service and level; as JSON for scripts."""
    lines = [json.loads(line) for line in platform.cli("logs", "--json", "--lines", "0").stdout.splitlines()]
    assert lines == []
    lines = [json.loads(line) for line in platform.cli("logs", "--json", "--since", "1d").stdout.splitlines()]
    assert {"api", "inference", "billing", "postgres"} <= {line["service"] for line in lines}
    times = [line["timestamp"] for line in lines]
    assert times == sorted(times)
    assert None not in times
    started = [line for line in lines if line.get("event") == "service.started"]
    assert {"api", "inference", "billing"} <= {line["service"] for line in started}
    only = platform.cli("logs", "api", "--lines", "5").stdout.splitlines()
    assert only
    assert all(line.startswith("api ") for line in only)
    unknown = platform.cli("logs", "nobody", check=False)
    assert (unknown.returncode, "there are: " in unknown.stderr) == (1, True)


def test_models_tells_where_it_looked(platform: Platform) -> None:
    """Switched off it says so; the route is the operator's alone."""
    shown = platform.cli_json("models")
    assert shown["discovery"] == {"enabled": False, "findings": [], "engines": []}
    assert "sim/fast" in {model["name"] for model in shown["models"]}
    assert "--no-discover" in platform.cli("models").stdout
    url = f"{platform.info['base_url']}/api/v1/admin/discovery"
    for key, status in ((platform.info["api_key"], 403), ("psk-nobody", 401), (platform.info["admin_key"], 200)):
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.get(url, headers=headers, timeout=10, trust_env=False).status_code == status
