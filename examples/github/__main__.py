"""A GitHub webhook: a supervisor reads a new issue and hands it to the specialist that it is for."""

import hashlib
import hmac
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import yaml

from examples.platform import options, platform, script_for

HERE = Path(__file__).parent
ISSUES = {"issue-crash.json": "engineer", "issue-question.json": "writer"}
SUPERVISOR = (
    'sim: if crash: call ask_engineer {"request": "{last}"}',
    'sim: if settings: call ask_writer {"request": "{last}"}',
    "sim: say {last}",
)
ENGINEER = "sim: say Probably a value that nobody checked; begin at the last frame of the trace."
WRITER = "sim: say The guide has a page on this; the start page should point to it."


def task(model: str) -> dict[str, Any]:
    """The task of `task.yaml`, with a model, and with a script where that is a simulated one."""
    declared: dict[str, Any] = yaml.safe_load((HERE / "task.yaml").read_text())
    agent = declared["steps"][0]
    agent["model"] = model
    scripts = {"engineer": ENGINEER, "writer": WRITER}
    agent["instructions"] += script_for(model, *SUPERVISOR)
    for specialist in agent["specialists"]:
        specialist["instructions"] += script_for(model, scripts[specialist["name"]])
    return declared


def deliver(hook: dict[str, Any], body: bytes, delivery: str) -> dict[str, Any]:
    """Post an event as GitHub does; gives the run that it started."""
    signature = hmac.new(hook["secret"].encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-github-event": "issues",
        "x-github-delivery": delivery,
        "x-hub-signature-256": f"sha256={signature}",
    }
    answer = httpx.post(hook["url"], content=body, headers=headers, timeout=30)
    answer.raise_for_status()
    taken: dict[str, Any] = answer.json()
    return taken


def main() -> None:
    """Deliver two issues, one of them twice."""
    given = options(__doc__ or "").parse_args()
    with platform(given) as penstock:
        declaration = penstock.data.parent / "triage.json"
        declaration.write_text(json.dumps(task(given.model)))
        penstock("tasks", "apply", str(declaration), "--name", "triage")
        hook = penstock.json("hooks", "add", "--task", "triage", "--scheme", "hmac-sha256")
        for name, expected in ISSUES.items():
            body, delivery = (HERE / name).read_bytes(), str(uuid.uuid4())
            taken, again = deliver(hook, body, delivery), deliver(hook, body, delivery)
            output = penstock.ended(taken["run_id"])["output"]
            print(f"\n{name}: run {taken['run_id']}\n{json.dumps(output, indent=2)}", flush=True)
            if (again["run_id"], again["duplicate"]) != (taken["run_id"], True):
                raise SystemExit("the second delivery started a run of its own")
            if given.model.startswith("sim/") and output["sent_to"] != [expected]:
                raise SystemExit(f"it was sent to {output['sent_to']}, not to the {expected}")
        penstock("runs", "ls")
    print("\nTwo issues, each with the specialist it is for; a delivery that came twice ran once.")


if __name__ == "__main__":
    main()
