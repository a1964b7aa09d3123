"""What each kind of step does, through a whole worker process."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from penstock_common.contracts.runs import RunState
from penstock_worker.app import App
from tests.support.tools import Tool
from tests.support.working import Commander

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("worker")]

KEY = b"k" * 32
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def a_task(*steps: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Steps, named by their place where they have no name."""
    return {"steps": [{"name": f"s{n}", **step} for n, step in enumerate(steps)], **members}


async def test_steps_see_what_came_before(boss: Commander, tool: Tool) -> None:
    """Templates and conditions look into the input and into earlier outputs."""
    task = a_task(
        {"kind": "http", "url": "{{ input.url }}/echo", "method": "POST", "body": {"n": "{{ input.n }}"}},
        {"kind": "http", "url": "{{ input.url }}/never", "when": "steps.s0.output.json.method != 'POST'"},
        {"kind": "http", "url": "{{ input.url }}/{{ steps.s0.output.json.method }}"},
        output={"skipped": "{{ steps.s1.skipped }}", "path": "at {{ steps.s2.output.json.path }}"},
    )
    run = await boss.carried_out(task, {"url": tool.url, "n": 3})
    assert (run.state, run.output, run.step, run.steps) == ("succeeded", {"skipped": True, "path": "at /POST"}, 3, 3)
    assert [asked.path for asked in tool.asked] == ["/echo", "/POST"]
    assert tool.asked[0].json == {"n": 3}


async def test_a_post_carries_a_key_of_its_step(boss: Commander, tool: Tool) -> None:
    """Retries of one step carry one key, another step another."""
    tool.statuses = [503, 200]
    post = {"kind": "http", "method": "POST", "url": f"{tool.url}/script", "retries": 1}
    run = await boss.carried_out(a_task(post, post))
    first, again, other = tool.keys("/script")
    assert run.state is RunState.SUCCEEDED
    assert first == again != other


async def test_a_webhook_is_signed(boss: Commander, tool: Tool) -> None:
    """As Standard Webhooks says, over its id, time and body; a retry carries the same id and body."""
    tool.statuses = [500, 204]
    hook = {"kind": "webhook", "url": f"{tool.url}/script", "secret": SECRET, "type": "probe.failed", "data": {"n": 1}}
    run = await boss.carried_out(a_task(hook))
    first, second = tool.at("/script")
    assert (run.state, run.output) == (RunState.SUCCEEDED, {"status": 204})
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    signed = f"{second.headers['webhook-id']}.{second.headers['webhook-timestamp']}.".encode() + second.body
    expected = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    assert second.headers["webhook-signature"] == f"v1,{expected}"
    assert second.json["data"] == {"n": 1}


async def test_state_lasts_from_run_to_run(boss: Commander) -> None:
    """By task and key; numbers are added, fields are set."""
    count = {"kind": "state", "key": "probe:{{ input }}", "add": {"failures": 1}}
    reset = {"kind": "state", "key": "probe:{{ input }}", "set": {"failures": 0}}
    await boss.save("counting", a_task(count))
    await boss.save("resetting", a_task(reset))
    outputs = [(await boss.carried_out("counting", name)).output for name in ("a", "a", "b")]
    assert [output["after"]["failures"] for output in outputs] == [1, 2, 1]
    assert (await boss.carried_out("resetting", "a")).output == {"before": {}, "after": {"failures": 0}}


async def test_a_run_waits_for_the_one_it_started(boss: Commander, worker: App) -> None:
    """More of them than the process has slots: one that waits takes none."""
    worker.pool.limit = 1
    await boss.save("below", a_task({"kind": "state", "key": "k", "add": {"n": 1}}))
    runs = [await boss.start(a_task({"kind": "run", "task": "below", "input": 1})) for _ in range(3)]
    ended = [await boss.ended(run) for run in runs]
    assert {run.state for run in ended} == {RunState.SUCCEEDED}
    assert sorted(run.output["output"]["after"]["n"] for run in ended) == [1, 2, 3]


async def test_runs_that_start_runs_end_somewhere(boss: Commander) -> None:
    """A task that runs itself is refused at the fifth level, and the refusal comes up."""
    await boss.save("endless", a_task({"kind": "run", "task": "endless"}))
    run = await boss.ended(await boss.start("endless"), 40)
    assert (run.state, run.error_code) == (RunState.FAILED, "worker.child_failed")
    assert "worker.runs_too_deep" in run.error


async def test_a_failure_may_be_gone_on_from(boss: Commander, tool: Tool) -> None:
    """With `on_error: continue` later steps see the error; else the run ends with it."""
    refused = {"kind": "http", "url": f"{tool.url}/status/404"}
    later = {"kind": "http", "url": f"{tool.url}/later", "when": "steps.s0.error.code == 'worker.tool_refused'"}
    run = await boss.carried_out(a_task(refused, later))
    assert (run.state, run.error_code, tool.at("/later")) == (RunState.FAILED, "worker.tool_refused", [])
    run = await boss.carried_out(a_task({**refused, "on_error": "continue"}, later))
    assert (run.state, len(tool.at("/later"))) == (RunState.SUCCEEDED, 1)


@pytest.mark.parametrize(
    ("path", "changes", "code"),
    [
        ("/bytes?n=100000000", {}, "common.tool_answer_too_large"),
        ("/slow?s=5", {"timeout": 0.3}, "common.tool_too_slow"),
        ("/gzip", {}, "common.tool_answer_refused"),
        ("/status/200", {"headers": {"x": "a\r\nb: c"}}, "common.tool_call_invalid"),
        ("/{{ input.absent }}", {}, "common.template_value_missing"),
        ("/redirect?to=http://169.254.169.254/", {}, "common.address_refused"),
        ("/loop", {}, "common.tool_answer_refused"),
    ],
)
async def test_a_bad_tool_fails_its_step(
    boss: Commander, tool: Tool, path: str, changes: dict[str, Any], code: str
) -> None:
    """Clearly, and soon."""
    run = await boss.carried_out(a_task({"kind": "http", "url": tool.url + path, **changes}))
    assert (run.state, run.error_code) == (RunState.FAILED, code)
    assert run.error


async def test_an_unknown_task_is_said_to_be(boss: Commander) -> None:
    """In the run, since nobody waits for the command."""
    run = await boss.carried_out("no-such-task")
    assert (run.state, run.error_code) == (RunState.FAILED, "worker.task_missing")
    assert "no-such-task" in run.error


async def test_a_declaration_that_is_none_fails_the_run(boss: Commander) -> None:
    """With its place; api refuses it before."""
    run = await boss.carried_out({"steps": [{"kind": "dance", "name": "x"}]})
    assert (run.state, run.error_code) == (RunState.FAILED, "common.task_invalid")
    assert "steps[0].kind" in run.error
