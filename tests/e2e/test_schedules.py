"""Schedules and webhooks of a running platform, by the command line and by what other systems send."""

import hmac

import httpx
import pytest

from tests.support.api import bearer
from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


def declare(platform: Platform, name: str) -> None:
    """A task that does next to nothing."""
    task = {"steps": [{"kind": "state", "name": "count", "key": name, "add": {"runs": 1}}]}
    url, headers = f"{platform.info['base_url']}/api/v1/tasks/{name}", bearer(platform.info["admin_key"])
    httpx.put(url, json=task, headers=headers, timeout=20).raise_for_status()


def test_a_schedule_by_the_command_line(platform: Platform) -> None:
    """Previewed, added, listed, paused, resumed and removed; what can't be is said."""
    declare(platform, "probe")
    yearly = ("--cron", "30 2 29 3 *", "--zone", "Europe/Berlin", "--count", "20")
    assert "skipped by the clock" in platform.cli("schedules", "preview", *yearly).stdout  # in 2037
    added = platform.cli_json(
        "schedules", "add", "mornings", "--task", "probe", "--cron", "0 9 * * *", "--input", "[1]"
    )
    (listed,) = [s for s in platform.cli_json("schedules", "ls")["schedules"] if s["id"] == added["id"]]
    assert listed["next_at"] == added["next_at"]
    assert platform.cli_json("schedules", "show", added["id"])["input"] == [1]
    assert len(platform.cli_json("schedules", "preview", added["id"], "--count", "3")["moments"]) == 3
    assert platform.cli_json("schedules", "pause", added["id"])["paused"] is True
    assert "next at" in platform.cli("schedules", "resume", added["id"]).stdout
    assert added["id"] in platform.cli("schedules", "ls").stdout
    assert "removed" in platform.cli("schedules", "rm", added["id"]).stdout
    for refused, words in (
        (("add", "never", "--task", "probe", "--cron", "0 0 31 2 *"), "'31' is a day that no month"),
        (("add", "both", "--task", "probe", "--cron", "0 0 * * *", "--every", "5m"), "both of"),
        (("add", "soon", "--task", "probe", "--every", "soon"), "--every"),
        (("preview",), "either"),
        (("show", added["id"]), "no such schedule"),
        (("add", "typo", "--task", "prob", "--every", "5m"), "no task 'prob'"),
    ):
        result = platform.cli("schedules", *refused, check=False)
        assert result.returncode != 0
        assert words in result.stderr.replace("\n", " "), result.stderr


def test_a_webhook_by_the_command_line(platform: Platform) -> None:
    """Its address and secret are what a sender needs; rotated, the old secret is good for a while."""
    declare(platform, "triage")
    made = platform.cli_json("hooks", "add", "--task", "triage", "--name", "issues", "--scheme", "hmac-sha256")
    rotated = platform.cli_json("hooks", "rotate", made["id"], "--overlap", "1h")
    for number, secret in enumerate((made["secret"], rotated["secret"])):
        digest = hmac.digest(secret.encode(), b"{}", "sha256").hex()
        headers = {"x-hub-signature-256": f"sha256={digest}", "x-github-delivery": str(number)}
        assert httpx.post(made["url"], content=b"{}", headers=headers).status_code == 202
    assert "issues" in platform.cli("hooks", "ls").stdout
    typo = platform.cli("hooks", "add", "--task", "triag", check=False)
    assert "no task 'triag'" in typo.stderr
    assert "removed" in platform.cli("hooks", "rm", made["id"]).stdout
    assert platform.cli("hooks", "rm", made["id"], check=False).returncode != 0
