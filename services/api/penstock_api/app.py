"""Api put together: the only place where its parts are made."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from penstock_api.adapters import audit
from penstock_api.adapters.audit import AuditLog
from penstock_api.adapters.bases import IndexerBases
from penstock_api.adapters.callback_table import CallbackTable
from penstock_api.adapters.callbacks import Callbacks
from penstock_api.adapters.cancels import Cancels
from penstock_api.adapters.catalogue import Catalogue, Orders
from penstock_api.adapters.completion_hooks import CompletionHooks
from penstock_api.adapters.dead_letter_acts import LetterDesk
from penstock_api.adapters.dead_letter_keeping import LetterKeeper
from penstock_api.adapters.dead_letter_reading import LetterReader
from penstock_api.adapters.dead_letter_table import LetterTable
from penstock_api.adapters.discovery import InferenceDiscovery
from penstock_api.adapters.generation_lookup import GenerationLookup
from penstock_api.adapters.generations import Limits, OpenGenerations, Outlets
from penstock_api.adapters.hooks import HookTable
from penstock_api.adapters.idempotency import IdempotencyKeys
from penstock_api.adapters.key_store import KeyTable
from penstock_api.adapters.keys import Keys
from penstock_api.adapters.local_keys import local_keys
from penstock_api.adapters.queue_room import QueueRoom
from penstock_api.adapters.redrive import Redrive
from penstock_api.adapters.request_history import RequestHistory
from penstock_api.adapters.requests_log import RequestsLog
from penstock_api.adapters.run_watch import RunWatch
from penstock_api.adapters.runs import RunOrders
from penstock_api.adapters.schedules import ScheduleOrders
from penstock_api.adapters.submission_writer import SubmissionWriter
from penstock_api.adapters.submissions import QueuedSubmissions
from penstock_api.adapters.suppressed import suppress_effects
from penstock_api.adapters.tasks import TaskOrders
from penstock_api.adapters.usage import BillingUsage
from penstock_api.routes.admin import admin_router
from penstock_api.routes.application import make_application
from penstock_api.routes.audit import audit_router
from penstock_api.routes.base_documents import base_documents_router
from penstock_api.routes.bases import bases_router
from penstock_api.routes.callbacks import callbacks_router
from penstock_api.routes.chat import ChatCompletions
from penstock_api.routes.dead_letters import Desk, dead_letters_router
from penstock_api.routes.discovery import discovery_router
from penstock_api.routes.embeddings import CreateEmbeddings
from penstock_api.routes.hooks import hooks_router
from penstock_api.routes.inference import Terms, inference_router
from penstock_api.routes.ingress import ingress_router
from penstock_api.routes.keys import keys_router
from penstock_api.routes.models import models_router
from penstock_api.routes.runs import runs_router
from penstock_api.routes.schedules import schedules_router
from penstock_api.routes.showing import ShowingRoute
from penstock_api.routes.submitting import SubmittingRoute
from penstock_api.routes.tasks import tasks_router
from penstock_api.routes.usage import usage_router
from penstock_api.settings import Settings
from penstock_api.subscribers import Deps, router
from penstock_common.clock import SystemClock
from penstock_common.foundation import Foundation
from penstock_common.guarded_http import GuardedHttp, Policy
from penstock_common.ids import uuid7
from penstock_common.messaging.collector import Collector
from penstock_common.messaging.runtime import Runtime
from penstock_common.objects import LocalObjects
from penstock_common.open_files import room_for
from penstock_common.ops import ops_routes
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM

THREADS = 64


class App:
    """One api process."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.started = settings, False
        clock, process = SystemClock(), f"api-{uuid7().hex}"
        self.foundation = Foundation("api", settings)
        self.bus, self.database = self.foundation.bus, self.foundation.database
        self.key_table = KeyTable(self.database)
        self.keys = Keys(self.key_table, self.bus, clock)
        self.catalogue = Catalogue(self.database, self.bus)
        self.outlets = Outlets(RequestsLog(self.database), Cancels(self.database), IdempotencyKeys(self.database))
        sealer = Sealer(LocalKeyring(settings.keyring.path))
        self.hooks = HookTable(self.database, sealer, clock)
        schedules = ScheduleOrders(self.database, self.bus, sealer, clock)
        self.run_watch = RunWatch(self.bus)
        runs = RunOrders(self.database, self.bus, sealer, clock, self.run_watch)
        tasks = TaskOrders(self.database, self.bus, sealer, clock)
        limits = Limits(room_for(settings.max_open, "clients"), settings.answer_seconds)
        self.generations = OpenGenerations(process, self.bus, sealer, clock, self.outlets, limits)
        history = RequestHistory(self.database, clock)
        lookup = GenerationLookup(process, self.bus, self.database, history, self.generations.held)
        terms = Terms(clock, settings.resume_seconds, settings.slow_seconds)
        self.completions = CompletionHooks(self.database, self.hooks)
        self.submitted = SubmissionWriter(self.database)
        policy, room = Policy.of(settings.webhooks.allow), QueueRoom(self.bus)
        self.callbacks = Callbacks(CallbackTable(self.database), sealer, GuardedHttp(policy), clock)
        self.submissions = QueuedSubmissions(process, self.submitted, room, self.hooks, policy, sealer, clock)
        submitting = SubmittingRoute(self.keys, self.catalogue, self.submissions, settings.answer_seconds)
        self.audit, letters = AuditLog(self.database, clock), LetterTable(self.database)
        self.redrive = Redrive(self.database, PLATFORM, clock, letters)
        self.collector = Collector(
            self.bus, PLATFORM, LetterKeeper(self.database, clock, self.redrive.nudge_gauge).keep
        )
        acts = LetterDesk(self.database, PLATFORM, clock, self.redrive)
        desk = Desk(letters, acts, LetterReader(self.bus, PLATFORM))
        deps = Deps(self.database, self.outlets.requests, self.catalogue.keep, suppress_effects, audit.write)
        self.runtime = Runtime(self.bus, PLATFORM, router, deps)
        bases = IndexerBases(self.bus, self.database, LocalObjects(settings.objects.path), sealer)
        self.asgi: Any = make_application(
            [
                *(
                    route(self.keys, self.catalogue, self.generations, settings.slow_seconds)
                    for route in (ChatCompletions, CreateEmbeddings)
                ),
                submitting,
                ShowingRoute(self.keys, lookup),
            ],
            [
                inference_router(self.keys, lookup, self.generations, terms),
                callbacks_router(self.keys, self.callbacks.table),
                models_router(self.keys, self.catalogue),
                usage_router(self.keys, BillingUsage(self.bus)),
                keys_router(self.keys, self.keys),
                admin_router(self.keys, self.catalogue, Orders(self.database)),
                audit_router(self.keys, self.audit),
                bases_router(self.keys, self.catalogue, bases),
                base_documents_router(self.keys, bases),
                dead_letters_router(self.keys, desk),
                discovery_router(self.keys, InferenceDiscovery(self.bus)),
                schedules_router(self.keys, schedules, tasks, clock),
                tasks_router(self.keys, tasks),
                runs_router(self.keys, runs, tasks),
                hooks_router(self.keys, self.hooks, tasks),
                ingress_router(self.hooks, clock),
            ],
            ops_routes(self.checks),
            lambda: self.started,
        )

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated."""
        await self.foundation.connect()

    async def start(self) -> None:
        """Load what requests are checked against, then receive."""
        # Hosts that strangers name are looked up in threads, which may take long: others are left for large bodies.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        bootstrap = self.settings.bootstrap
        await self.key_table.ensure(local_keys(bootstrap.user_key_sha256, bootstrap.admin_key_sha256))
        await self.foundation.start()
        await self.keys.start()
        await self.catalogue.start()
        self.outlets.requests.start()
        self.outlets.cancels.start()
        self.outlets.names.sweeping.start()
        self.hooks.forgetting.start()
        self.audit.forgetting.start()
        self.redrive.start()
        self.submitted.start()
        self.completions.telling.start()
        self.callbacks.start()
        await self.generations.start()
        await self.run_watch.start()
        await self.runtime.start()
        self.collector.start()
        self.started = True

    async def stop(self, grace: float | None = None) -> None:
        """Receive no more, write and publish what waits, disconnect."""
        await self.generations.stop()
        await self.collector.stop()
        await self.runtime.stop(self.settings.stop_grace if grace is None else grace)
        await self.run_watch.stop()
        await self.keys.stop()
        await self.catalogue.stop()
        await self.outlets.requests.stop()
        await self.outlets.cancels.stop()
        await self.hooks.forgetting.stop()
        await self.audit.forgetting.stop()
        await self.redrive.stop()
        await self.completions.telling.stop()
        await self.callbacks.stop()
        await self.submitted.stop()
        await self.outlets.names.sweeping.stop()
        await self.foundation.stop()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now; without a catalogue there is no model to serve."""
        own = {"started": self.started, "catalogue": self.catalogue.version > 0}
        return own | await self.foundation.checks()


def build(settings: Settings) -> App:
    """A process from its settings."""
    return App(settings)
