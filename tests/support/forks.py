"""Processes of tests, forked from one that has loaded what they run: each begins within milliseconds, not seconds.

multiprocessing has one process to fork from, and loads there what it was told of last: so all of it is named here.
"""

import asyncio
from collections.abc import Callable, Coroutine
from multiprocessing import forkserver, get_context
from multiprocessing.process import BaseProcess
from typing import Any

PATIENCE = 90.0  # seconds
LOADED = (
    "pytest",
    "penstock.main",
    "penstock.auditing.run",
    "penstock.client",
    "penstock.deadletters.showing",
    "penstock.doctor.examination",
    "penstock.knowledge",
    "penstock.platform.report",
    "penstock.progress",
    "penstock.reconcile.run",
    "penstock.replay.run",
    "penstock.tables",
    "penstock_common.messaging.nats.bus",
    "penstock_common.messaging.nats.faststream",
    "penstock_common.messaging.rabbit.bus",
    "penstock_common.messaging.rabbit.faststream",
    "penstock_worker.running.agents.runner",
    "tests.integration.crash_points.lives",
    "tests.integration.inference.crash.process",
    "tests.integration.inference.queue.crashing",
    "tests.integration.inference.records.crashing",
    "tests.integration.inference.takeover.processes",
    "tests.integration.messaging.service",
    "tests.integration.replay.dying",
    "tests.planted.checkers",
    "tests.planted.faults",
    "tests.support.callbacks",
    "tests.support.crashing",
    "tests.support.dying_archiver",
    "tests.support.indexing",
    "tests.support.hooks_process",
    "tests.support.letters_process",
    "tests.support.scheduling_process",
    "tests.support.submissions_process",
    "tests.support.working_process",
)
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(list(LOADED))
Main = Callable[..., Coroutine[Any, Any, None]]


def load_ahead() -> None:
    """Have the process loaded in the background, before a test waits for it."""
    forkserver.ensure_running()


async def begun(main: Main, *given: Any) -> BaseProcess:
    """Run a coroutine function in a process of its own, which does not outlive this one."""
    process = FORKS.Process(target=_run, args=(main, *given), daemon=True)
    await asyncio.to_thread(process.start)
    return process


async def ended(process: BaseProcess) -> int:
    """The exit code of a process, a signal's below zero; raises TimeoutError for one that has to be killed."""
    await asyncio.to_thread(process.join, PATIENCE)
    if (code := process.exitcode) is None:
        process.kill()
        await asyncio.to_thread(process.join)
        raise TimeoutError(f"it did not end within {PATIENCE:.0f} s")
    return code


async def lived(main: Main, *given: Any) -> int:
    """The exit code of a process that runs a coroutine function, a signal's below zero."""
    return await ended(await begun(main, *given))


def _run(main: Main, *given: Any) -> None:
    asyncio.run(main(*given))
