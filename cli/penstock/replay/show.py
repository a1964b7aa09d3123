"""What a replay would do, or did, for people and for scripts."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from penstock.replay.kept import Kept
from penstock.replay.plan import Plan
from penstock.replay.tally import Share, Tally
from penstock.tables import console, table


def show_counts(plan: Plan, counted: Tally, *, as_json: bool) -> None:
    """What would be said, and what inboxes would skip."""
    if as_json:
        _print({"dry_run": True, "to": plan.to or None, "effects": plan.effects, **counted.as_json()})
        return
    topics = table("topic", "events")
    for subject, events in sorted(counted.topics.items()):
        topics.add_row(subject, str(events))
    consumers = table("consumer", "would get", "would skip", "would handle")
    for name, share in sorted(counted.consumers.items()):
        consumers.add_row(name, str(share.events), *_decided(share))
    for shown in (topics, consumers):
        if shown.row_count:
            console().print(shown)
    typer.echo(f"{counted.events} events would be said again; nothing was published.")
    for subject, events in sorted(counted.unknown.items()):
        typer.echo(f"{events} of {subject} would not: this version has no such topic.")
    if counted.unpublished:
        typer.echo(f"{counted.unpublished} would not: their services have yet to publish them.")


def tell_damage(damaged: Sequence[str]) -> int:
    """Say on standard error what of the archive could not be read; gives the exit code."""
    for line in damaged:
        typer.echo(f"penstock: damaged: {line}", err=True)
    return 1 if damaged else 0


def show_act(kept: Kept, *, as_json: bool) -> None:
    """What was done."""
    if as_json:
        _print(
            {
                "act": str(kept.plan.act),
                "to": kept.plan.to or None,
                "effects": kept.plan.effects,
                "published": kept.published,
                "topics": dict(sorted(kept.topics.items())),
                "damaged": kept.damaged,
            }
        )
        return
    for subject, events in sorted(kept.topics.items()):
        typer.echo(f"{subject}: {events}")
    typer.echo(f"act {kept.plan.act}: {kept.published} events were said again to {kept.plan.to or 'everyone'}.")


def _decided(share: Share) -> tuple[str, str]:
    if share.handled is None:
        return "by its own record", ""
    return str(share.handled), str(share.events - share.handled)


def _print(data: dict[str, Any]) -> None:
    print(json.dumps(data))
