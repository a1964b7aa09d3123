"""What a person reads once the platform is healthy."""

import textwrap
from typing import Any

BUILTIN = ("sim/", "local/")


def greeting(facts: dict[str, Any]) -> str:
    """Addresses, key, models, and two ways to ask that can be pasted."""
    base, key, models = facts["base_url"], facts["api_key"], facts["models"]
    model = next((each for each in models if not each.startswith(BUILTIN)), "sim/fast")
    note = "" if model != "sim/fast" else SIMULATION_NOTE
    return GREETING.format(
        base=base, key=key, models="\n             ".join(models), model=model, note=note, data=facts["data"]
    )


SIMULATION_NOTE = textwrap.dedent("""
    No engine was found, so the built-in simulated engine serves: its answers are made up, its counts are exact.
    Set OPENAI_API_KEY before make up, or add an engine: .venv/bin/penstock models add --help
    """)

GREETING = textwrap.dedent("""
    Penstock is running. Ctrl-C stops it; everything it keeps lies in {data}.

      base URL   {base}/v1
      API key    {key}
      models     {models}
    {note}
    Ask with curl:

    curl -sS {base}/v1/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
      -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

    Ask from Python (pip install openai):

    from openai import OpenAI

    client = OpenAI(base_url="{base}/v1", api_key="{key}")
    stream = client.chat.completions.create(
        model="{model}", messages=[{{"role": "user", "content": "Hello"}}], stream=True
    )
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)

    print()

    """)


def summary(facts: dict[str, Any]) -> str:
    """The state of a running platform in a few lines."""
    lines = [
        f"base URL   {facts['base_url']}/v1",
        f"API key    {facts['api_key']}",
        f"data       {facts['data']}",
        f"models     {', '.join(facts['models']) or 'none yet'}",
    ]
    if restored := facts["bus_restored"]:
        times = f"{restored['times']} times since the start" if restored["times"] > 1 else "once since the start"
        lines.append(f"bus        was emptied, made anew at {restored['restored_at']} ({times})")
    if audited := facts["audit"]:
        lines.append(f"audit      {audited['found']} ({audited['at']})")
    lines += [f"{name:<10} {' '.join(map(str, pids)) or 'down'}" for name, pids in facts["processes"].items()]
    return "\n".join(lines)
