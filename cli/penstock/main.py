"""The `penstock` command: puts the sub-commands together and turns errors into sentences."""

import sys

import typer

from penstock.commands import (
    archive,
    audit,
    bus,
    chat,
    dlq,
    doctor,
    down,
    events,
    hooks,
    inference,
    kb,
    keys,
    logs,
    migrate,
    models,
    reconcile,
    restart,
    run,
    runs,
    schedules,
    status,
    tasks,
    topology,
    up,
    usage,
)
from penstock_common.errors import PenstockError

INTERRUPTED = 130

app = typer.Typer(
    name="penstock",
    help="Penstock: model traffic that is metered, billed once and never lost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (
    *(up.up, status.status, restart.restart, down.down, chat.chat, doctor.doctor, logs.logs),
    *(usage.usage, reconcile.reconcile, migrate.migrate, run.run),
)
for command in COMMANDS:
    app.command()(command)
GROUPS = {
    "archive": archive.app,
    "audit": audit.app,
    "bus": bus.app,
    "dlq": dlq.app,
    "events": events.app,
    "hooks": hooks.app,
    "inference": inference.app,
    "kb": kb.app,
    "keys": keys.app,
    "models": models.app,
    "runs": runs.app,
    "schedules": schedules.app,
    "tasks": tasks.app,
    "topology": topology.app,
}
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command line; an error that we know ends it with one sentence and its exit code."""
    try:
        app()
    except PenstockError as error:
        print(f"penstock: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_status", 1))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
