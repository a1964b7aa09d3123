"""The platform's topics and consumers. The only place where any of them is named."""

from penstock_common.contracts.base import Wire
from penstock_common.contracts.billing import ReadUsage, UsageRecorded, UsageReport
from penstock_common.contracts.catalogue import CatalogueChanged, RegisterModel, RemoveModel
from penstock_common.contracts.discovery import DiscoveryReport, ReadDiscovery
from penstock_common.contracts.documents import (
    AddDocument,
    BaseList,
    ChunksFound,
    DocumentChanged,
    DocumentList,
    ReadBases,
    ReadDocuments,
    RemoveBase,
    RemoveDocument,
    RetryDocument,
    SaveBase,
    SearchChunks,
)
from penstock_common.contracts.embedding import EmbedTexts, VectorizeTexts
from penstock_common.contracts.generation import (
    ApiLives,
    AttachGeneration,
    AttemptCosted,
    CancelGeneration,
    FindGeneration,
    FindRequest,
    GenerateText,
    GenerationCompleted,
    GenerationFound,
    GenerationState,
    GenerationStates,
    GenerationTakenOver,
    ReadGeneration,
    ReadGenerations,
    RequestFound,
)
from penstock_common.contracts.keys import KeyCreated, KeyRevoked
from penstock_common.contracts.operating import FindHandled, HandledFound, OperatorActed
from penstock_common.contracts.platform import BusRebuilt
from penstock_common.contracts.queueing import BatchText, QueueReport, QueueText, ReadQueue
from penstock_common.contracts.runs import (
    CancelRun,
    ListRuns,
    ReadRun,
    ReadTasks,
    RemoveTask,
    RunChanged,
    RunList,
    RunReport,
    SaveTask,
    StartRun,
    TaskList,
)
from penstock_common.contracts.schedules import (
    Preview,
    PreviewTiming,
    ReadSchedules,
    RemoveSchedule,
    SaveSchedule,
    ScheduleChanged,
    ScheduleList,
    TickFired,
)
from penstock_common.messaging.topology import (
    DAY,
    DEAD_LETTERS,
    QUARANTINE,
    Batch,
    Consumer,
    Kind,
    Runner,
    Stream,
    Topic,
    Topology,
)

GIB = 1 << 30

API_EVENTS = Stream("API", max_age=14 * DAY, max_bytes=GIB)
INFERENCE_EVENTS = Stream("INFERENCE", max_age=14 * DAY, max_bytes=4 * GIB)
BILLING_EVENTS = Stream("BILLING", max_age=14 * DAY, max_bytes=4 * GIB)
COMMANDS = Stream("COMMANDS", max_age=DAY, max_bytes=GIB // 2, refuse_when_full=True)
GENERATE = Stream("GENERATE", max_age=600, max_bytes=4 * GIB, refuse_when_full=True)
EMBED = Stream("EMBED", max_age=600, max_bytes=GIB // 2, refuse_when_full=True)
VECTORIZE = Stream("VECTORIZE", max_age=DAY, max_bytes=GIB // 2, refuse_when_full=True)
QUEUE = Stream("QUEUE", max_age=2 * DAY, max_bytes=GIB, refuse_when_full=True)
TURNS = Stream("TURNS", max_age=2 * DAY, max_bytes=GIB, refuse_when_full=True)
RUNS = Stream("RUNS", max_age=7 * DAY, max_bytes=GIB // 2, refuse_when_full=True)
WORKER_EVENTS = Stream("WORKER", max_age=14 * DAY, max_bytes=GIB // 2)
SCHEDULER_EVENTS = Stream("SCHEDULER", max_age=14 * DAY, max_bytes=GIB // 4)
INDEXER_EVENTS = Stream("INDEXER", max_age=14 * DAY, max_bytes=GIB // 4)
UPKEEP = Stream("UPKEEP", max_age=14 * DAY, max_bytes=GIB // 64)

GENERATE_TEXT = Topic("cmd.inference.text.generate.v1", GenerateText, "api", Kind.COMMAND, GENERATE.name, Wire.MSGPACK)
CANCEL_GENERATION = Topic("cmd.inference.generation.cancel.v1", CancelGeneration, "api", Kind.COMMAND, COMMANDS.name)
REGISTER_MODEL = Topic("cmd.inference.model.register.v1", RegisterModel, "api", Kind.COMMAND, COMMANDS.name)
REMOVE_MODEL = Topic("cmd.inference.model.remove.v1", RemoveModel, "api", Kind.COMMAND, COMMANDS.name)
KEY_CREATED = Topic("api.key.created.v1", KeyCreated, "api", stream=API_EVENTS.name)
KEY_REVOKED = Topic("api.key.revoked.v1", KeyRevoked, "api", stream=API_EVENTS.name)
GENERATION_COMPLETED = Topic(
    "inference.generation.completed.v1",
    GenerationCompleted,
    "inference",
    stream=INFERENCE_EVENTS.name,
    is_unhurried=True,
)
ATTEMPT_COSTED = Topic("inference.attempt.costed.v1", AttemptCosted, "inference", stream=INFERENCE_EVENTS.name)
CATALOGUE_CHANGED = Topic("inference.catalogue.changed.v1", CatalogueChanged, "inference", stream=INFERENCE_EVENTS.name)
USAGE_RECORDED = Topic(
    "billing.usage.recorded.v1", UsageRecorded, "billing", stream=BILLING_EVENTS.name, is_unhurried=True
)
ATTACH_GENERATION = Topic("inference.generation.attach.v1", AttachGeneration, "api", Kind.BROADCAST)
GENERATION_TAKEN_OVER = Topic("inference.generation.taken_over.v1", GenerationTakenOver, "inference", Kind.BROADCAST)
API_LIVES = Topic("api.process.lives.v1", ApiLives, "api", Kind.BROADCAST)
FIND_GENERATION = Topic(
    "qry.inference.generation.find.v1", FindGeneration, "inference", Kind.QUERY, reply=GenerationFound
)
FIND_REQUEST = Topic("qry.api.request.find.v1", FindRequest, "api", Kind.QUERY, reply=RequestFound)
READ_GENERATION = Topic(
    "qry.inference.generation.read.v1", ReadGeneration, "inference", Kind.QUERY, reply=GenerationState
)
READ_GENERATIONS = Topic(
    "qry.inference.generations.read.v1", ReadGenerations, "inference", Kind.QUERY, reply=GenerationStates
)
READ_DISCOVERY = Topic("qry.inference.discovery.read.v1", ReadDiscovery, "inference", Kind.QUERY, reply=DiscoveryReport)
READ_USAGE = Topic("qry.billing.usage.read.v1", ReadUsage, "billing", Kind.QUERY, reply=UsageReport)
EMBED_TEXTS = Topic("cmd.inference.texts.embed.v1", EmbedTexts, "api", Kind.COMMAND, EMBED.name, Wire.MSGPACK)
VECTORIZE_TEXTS = Topic(
    "cmd.inference.texts.vectorize.v1", VectorizeTexts, "indexer", Kind.COMMAND, VECTORIZE.name, Wire.MSGPACK
)
QUEUE_TEXT = Topic("cmd.inference.text.queue.v1", QueueText, "api", Kind.COMMAND, QUEUE.name, Wire.MSGPACK)
BATCH_TEXT = Topic("cmd.inference.text.batch.v1", BatchText, "inference", Kind.COMMAND, TURNS.name, Wire.MSGPACK)
READ_QUEUE = Topic("qry.inference.queue.read.v1", ReadQueue, "inference", Kind.QUERY, reply=QueueReport)

START_RUN = Topic("cmd.worker.run.start.v1", StartRun, "api", Kind.COMMAND, RUNS.name)
CANCEL_RUN = Topic("cmd.worker.run.cancel.v1", CancelRun, "api", Kind.COMMAND, COMMANDS.name)
SAVE_TASK = Topic("cmd.worker.task.save.v1", SaveTask, "api", Kind.COMMAND, COMMANDS.name)
REMOVE_TASK = Topic("cmd.worker.task.remove.v1", RemoveTask, "api", Kind.COMMAND, COMMANDS.name)
RUN_CHANGED = Topic("worker.run.changed.v1", RunChanged, "worker", stream=WORKER_EVENTS.name)
READ_RUN = Topic("qry.worker.run.read.v1", ReadRun, "worker", Kind.QUERY, reply=RunReport)
LIST_RUNS = Topic("qry.worker.runs.list.v1", ListRuns, "worker", Kind.QUERY, reply=RunList)
READ_TASKS = Topic("qry.worker.tasks.read.v1", ReadTasks, "worker", Kind.QUERY, reply=TaskList)

SAVE_SCHEDULE = Topic("cmd.scheduler.schedule.save.v1", SaveSchedule, "api", Kind.COMMAND, COMMANDS.name)
REMOVE_SCHEDULE = Topic("cmd.scheduler.schedule.remove.v1", RemoveSchedule, "api", Kind.COMMAND, COMMANDS.name)
SCHEDULE_CHANGED = Topic("scheduler.schedule.changed.v1", ScheduleChanged, "scheduler", stream=SCHEDULER_EVENTS.name)
TICK_FIRED = Topic("scheduler.tick.fired.v1", TickFired, "scheduler", stream=SCHEDULER_EVENTS.name)
PREVIEW_TIMING = Topic("qry.scheduler.timing.preview.v1", PreviewTiming, "scheduler", Kind.QUERY, reply=Preview)
READ_SCHEDULES = Topic("qry.scheduler.schedules.read.v1", ReadSchedules, "scheduler", Kind.QUERY, reply=ScheduleList)

SAVE_BASE = Topic("cmd.indexer.base.save.v1", SaveBase, "api", Kind.COMMAND, COMMANDS.name)
REMOVE_BASE = Topic("cmd.indexer.base.remove.v1", RemoveBase, "api", Kind.COMMAND, COMMANDS.name)
ADD_DOCUMENT = Topic("cmd.indexer.document.add.v1", AddDocument, "api", Kind.COMMAND, COMMANDS.name)
REMOVE_DOCUMENT = Topic("cmd.indexer.document.remove.v1", RemoveDocument, "api", Kind.COMMAND, COMMANDS.name)
RETRY_DOCUMENT = Topic("cmd.indexer.document.retry.v1", RetryDocument, "api", Kind.COMMAND, COMMANDS.name)
DOCUMENT_CHANGED = Topic("indexer.document.changed.v1", DocumentChanged, "indexer", stream=INDEXER_EVENTS.name)
SEARCH_CHUNKS = Topic("qry.indexer.chunks.search.v1", SearchChunks, "indexer", Kind.QUERY, reply=ChunksFound)
READ_BASES = Topic("qry.indexer.bases.read.v1", ReadBases, "indexer", Kind.QUERY, reply=BaseList)
READ_DOCUMENTS = Topic("qry.indexer.documents.read.v1", ReadDocuments, "indexer", Kind.QUERY, reply=DocumentList)

BUS_REBUILT = Topic("platform.bus.rebuilt.v1", BusRebuilt, "platform", stream=UPKEEP.name)
OPERATOR_ACTED = Topic("platform.operator.acted.v1", OperatorActed, "platform", stream=UPKEEP.name)
FIND_HANDLED = Topic("qry.platform.inbox.find.v1", FindHandled, "platform", Kind.QUERY, reply=HandledFound)

HELD = 65_535
"""Requests that all processes together hold, with a slot or waiting for one; each holds as many as its settings say."""

PATIENT = (0.2, 0.5, 1.0, 2.0, 3.0)
"""Back within seconds once a dependency is; with 300 attempts that is a quarter of an hour of outage."""

PLATFORM = Topology(
    streams=(
        API_EVENTS,
        INFERENCE_EVENTS,
        BILLING_EVENTS,
        COMMANDS,
        GENERATE,
        EMBED,
        VECTORIZE,
        QUEUE,
        TURNS,
        RUNS,
        WORKER_EVENTS,
        SCHEDULER_EVENTS,
        INDEXER_EVENTS,
        UPKEEP,
        QUARANTINE,
        DEAD_LETTERS,
    ),
    topics=(
        GENERATE_TEXT,
        CANCEL_GENERATION,
        REGISTER_MODEL,
        REMOVE_MODEL,
        KEY_CREATED,
        KEY_REVOKED,
        GENERATION_COMPLETED,
        ATTEMPT_COSTED,
        CATALOGUE_CHANGED,
        USAGE_RECORDED,
        ATTACH_GENERATION,
        GENERATION_TAKEN_OVER,
        API_LIVES,
        FIND_GENERATION,
        FIND_REQUEST,
        READ_GENERATION,
        READ_GENERATIONS,
        READ_DISCOVERY,
        READ_USAGE,
        EMBED_TEXTS,
        VECTORIZE_TEXTS,
        QUEUE_TEXT,
        BATCH_TEXT,
        READ_QUEUE,
        START_RUN,
        CANCEL_RUN,
        SAVE_TASK,
        REMOVE_TASK,
        RUN_CHANGED,
        READ_RUN,
        LIST_RUNS,
        READ_TASKS,
        SAVE_SCHEDULE,
        REMOVE_SCHEDULE,
        SCHEDULE_CHANGED,
        TICK_FIRED,
        PREVIEW_TIMING,
        READ_SCHEDULES,
        SAVE_BASE,
        REMOVE_BASE,
        ADD_DOCUMENT,
        REMOVE_DOCUMENT,
        RETRY_DOCUMENT,
        DOCUMENT_CHANGED,
        SEARCH_CHUNKS,
        READ_BASES,
        READ_DOCUMENTS,
        BUS_REBUILT,
        OPERATOR_ACTED,
        FIND_HANDLED,
    ),
    rebuilt=BUS_REBUILT,
    collected_by="api",
    consumers=(
        Consumer(
            "inference",
            "generate_text",
            GENERATE_TEXT,
            concurrency=HELD,
            max_attempts=6,
            runner=Runner.PLAIN,
            has_on_dead=True,
            isolate_after=3,
            quarantine_concurrency=8,
            has_inbox=False,
        ),
        # few at once: a day of them may be said again, and what is answered meanwhile needs connections, too
        Consumer("inference", "cancel_generation", CANCEL_GENERATION, concurrency=2, max_attempts=300, backoff=PATIENT),
        Consumer("inference", "register_model", REGISTER_MODEL, concurrency=1, max_attempts=60),
        Consumer("inference", "remove_model", REMOVE_MODEL, concurrency=1, max_attempts=60),
        Consumer(
            "billing",
            "on_generation_completed",
            GENERATION_COMPLETED,
            runner=Runner.PLAIN,
            batch=Batch(256, within_ms=100),
            batches=2,
            max_attempts=300,
            backoff=PATIENT,
        ),
        Consumer("billing", "on_attempt_costed", ATTEMPT_COSTED, max_attempts=300, backoff=PATIENT),
        Consumer("billing", "on_catalogue_changed", CATALOGUE_CHANGED, max_attempts=300, backoff=PATIENT),
        Consumer(
            "api",
            "on_generation_completed",
            GENERATION_COMPLETED,
            runner=Runner.PLAIN,
            batch=Batch(256, within_ms=100),
            max_attempts=300,
            backoff=PATIENT,
        ),
        Consumer("api", "on_catalogue_changed", CATALOGUE_CHANGED, max_attempts=300, backoff=PATIENT),
        Consumer("api", "on_operator_acted", OPERATOR_ACTED, max_attempts=300, backoff=PATIENT),
        Consumer(
            "inference",
            "embed_texts",
            EMBED_TEXTS,
            concurrency=HELD,
            max_attempts=6,
            runner=Runner.PLAIN,
            has_on_dead=True,
            isolate_after=3,
            has_inbox=False,
        ),
        Consumer(
            "inference",
            "vectorize_texts",
            VECTORIZE_TEXTS,
            concurrency=2,
            max_attempts=6,
            runner=Runner.PLAIN,
            has_on_dead=True,
            isolate_after=3,
            has_inbox=False,
        ),
        Consumer(
            "inference",
            "queue_text",
            QUEUE_TEXT,
            runner=Runner.PLAIN,
            batch=Batch(64, within_ms=25),
            max_attempts=300,
            backoff=PATIENT,
            has_on_dead=True,
        ),
        Consumer(
            "inference",
            "batch_text",
            BATCH_TEXT,
            concurrency=200,
            max_attempts=6,
            runner=Runner.PLAIN,
            has_on_dead=True,
            isolate_after=3,
            quarantine_concurrency=8,
            has_inbox=False,
        ),
        Consumer("worker", "start_run", START_RUN, max_attempts=300, backoff=PATIENT),
        Consumer("worker", "cancel_run", CANCEL_RUN, max_attempts=300, backoff=PATIENT),
        Consumer("worker", "save_task", SAVE_TASK, max_attempts=300, backoff=PATIENT),
        Consumer("worker", "remove_task", REMOVE_TASK, max_attempts=300, backoff=PATIENT),
        Consumer("scheduler", "save_schedule", SAVE_SCHEDULE, max_attempts=300, backoff=PATIENT),
        Consumer("scheduler", "remove_schedule", REMOVE_SCHEDULE, max_attempts=300, backoff=PATIENT),
        Consumer("indexer", "save_base", SAVE_BASE, max_attempts=300, backoff=PATIENT),
        Consumer("indexer", "remove_base", REMOVE_BASE, max_attempts=300, backoff=PATIENT),
        Consumer("indexer", "add_document", ADD_DOCUMENT, max_attempts=300, backoff=PATIENT),
        Consumer("indexer", "remove_document", REMOVE_DOCUMENT, max_attempts=300, backoff=PATIENT),
        Consumer("indexer", "retry_document", RETRY_DOCUMENT, max_attempts=300, backoff=PATIENT),
    ),
)
