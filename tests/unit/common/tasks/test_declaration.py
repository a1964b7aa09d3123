"""What a declaration may be, and how a wrong one is explained."""

from typing import Any

import pytest

from penstock_common.tasks.checks import REDACTED, check_task_name, redacted, task_of
from penstock_common.tasks.errors import TaskInvalid

GET: dict[str, Any] = {"kind": "http", "name": "get", "url": "https://example.com/"}
SECRET = "whsec_" + "A" * 32
HOOK: dict[str, Any] = {"kind": "webhook", "name": "hook", "url": "https://x/", "type": "t", "secret": SECRET}
STATE: dict[str, Any] = {"kind": "state", "name": "count", "key": "k", "add": {"n": 1}}
SAY: dict[str, Any] = {"kind": "model", "name": "say", "model": "m", "messages": [{"role": "user", "content": "x"}]}


def test_every_kind_is_a_step() -> None:
    """With what each of them needs, and defaults for the rest."""
    others = [
        {"kind": "search", "name": "find", "base": "docs", "text": "{{ input }}"},
        {"kind": "run", "name": "below", "task": "other"},
        {"kind": "agent", "name": "agent", "model": "m", "prompt": "{{ steps.get.output.text }}"},
    ]
    task = task_of({"steps": [GET, HOOK, STATE, SAY, *others], "output": "{{ steps.say.output.text }}"})
    assert [step.timeout for step in task.steps] == [30, 120, 300, 300, 30, 300, 300]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{**GET, "timeout": 0}], "`steps[0].timeout`"),
        ([{**GET, "retries": 11}], "`steps[0].retries`"),
        ([{**GET, "metod": "POST"}], "unknown field `metod`"),
        ([{**GET, "method": "TRACE"}], "`steps[0].method`"),
        ([{"kind": "http", "name": "a"}], "missing required field `url`"),
        ([{"name": "a"}], "it is one of model, http, search"),
        ([GET, GET], "`steps[1].name`: another step is called 'get'"),
        ([{**GET, "name": "1st"}], "1 to 32 characters of a-z 0-9 _"),
        ([{**GET, "when": "steps.get.ok"}], "`steps[0].when`"),
        ([{**GET, "url": "{{ steps.later.output }}"}, {**STATE, "name": "later"}], "'later' is none"),
        ([{**GET, "url": "{{ secrets.x }}"}], "one of input, steps, run"),
        ([{**GET, "headers": {"a": "{{ nope }}"}}], "`steps[0].headers.a`"),
        ([{**SAY, "messages": [{"role": "tool", "content": "x"}]}], "`steps[0].messages[0].role`"),
        ([{**SAY, "messages": [{"role": "user", "content": "{{ x"}]}], "`steps[0].messages[0].content`"),
        ([{**HOOK, "secret": REDACTED}], "24 to 64 bytes in Base64"),
        ([{**STATE, "name": f"s{n}"} for n in range(51)], "`steps`"),
        ([{**GET, "name": f"s{n}", "body": "x" * 20_000} for n in range(4)], "64 KiB"),
    ],
)
def test_a_wrong_declaration_is_explained(steps: list[dict[str, Any]], said: str) -> None:
    """By its place, and by what is allowed there."""
    with pytest.raises(TaskInvalid) as caught:
        task_of({"steps": steps})
    assert said in caught.value.message


def test_secrets_of_webhooks_are_not_shown() -> None:
    """And what is shown instead can't be saved by mistake."""
    shown = redacted({"steps": [GET, HOOK]})
    assert shown == {"steps": [GET, {**HOOK, "secret": REDACTED}]}
    with pytest.raises(TaskInvalid):
        task_of(shown)


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a-", "a/b", "x" * 65, "a\n"])
def test_a_task_name_is_plain(name: str) -> None:
    """It stands in URLs and logs."""
    with pytest.raises(TaskInvalid, match="1 to 64"):
        check_task_name(name)
