"""The platform's topics and consumers. The only place where any of them is named."""

from penstock_common.contracts.base import Wire
from penstock_common.contracts.billing import ReadUsage, UsageRecorded, UsageReport
from penstock_common.contracts.catalogue import CatalogueChanged, RegisterModel, RemoveModel
from penstock_common.contracts.generation import (
    AttachGeneration,
    AttemptCosted,
    CancelGeneration,
    FindGeneration,
    FindRequest,
    GenerateText,
    GenerationCompleted,
    GenerationFound,
    GenerationState,
    ReadGeneration,
    RequestFound,
)
from penstock_common.contracts.keys import KeyCreated, KeyRevoked
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

GENERATE_TEXT = Topic("cmd.inference.text.generate.v1", GenerateText, "api", Kind.COMMAND, GENERATE.name, Wire.MSGPACK)
CANCEL_GENERATION = Topic("cmd.inference.generation.cancel.v1", CancelGeneration, "api", Kind.COMMAND, COMMANDS.name)
REGISTER_MODEL = Topic("cmd.inference.model.register.v1", RegisterModel, "api", Kind.COMMAND, COMMANDS.name)
REMOVE_MODEL = Topic("cmd.inference.model.remove.v1", RemoveModel, "api", Kind.COMMAND, COMMANDS.name)
KEY_CREATED = Topic("api.key.created.v1", KeyCreated, "api", stream=API_EVENTS.name)
KEY_REVOKED = Topic("api.key.revoked.v1", KeyRevoked, "api", stream=API_EVENTS.name)
GENERATION_COMPLETED = Topic(
    "inference.generation.completed.v1", GenerationCompleted, "inference", stream=INFERENCE_EVENTS.name
)
ATTEMPT_COSTED = Topic("inference.attempt.costed.v1", AttemptCosted, "inference", stream=INFERENCE_EVENTS.name)
CATALOGUE_CHANGED = Topic("inference.catalogue.changed.v1", CatalogueChanged, "inference", stream=INFERENCE_EVENTS.name)
USAGE_RECORDED = Topic("billing.usage.recorded.v1", UsageRecorded, "billing", stream=BILLING_EVENTS.name)
ATTACH_GENERATION = Topic("inference.generation.attach.v1", AttachGeneration, "api", Kind.BROADCAST)
FIND_GENERATION = Topic(
    "qry.inference.generation.find.v1", FindGeneration, "inference", Kind.QUERY, reply=GenerationFound
)
FIND_REQUEST = Topic("qry.api.request.find.v1", FindRequest, "api", Kind.QUERY, reply=RequestFound)
READ_GENERATION = Topic(
    "qry.inference.generation.read.v1", ReadGeneration, "inference", Kind.QUERY, reply=GenerationState
)
READ_USAGE = Topic("qry.billing.usage.read.v1", ReadUsage, "billing", Kind.QUERY, reply=UsageReport)

PATIENT = (0.2, 0.5, 1.0, 2.0, 3.0)
"""Back within seconds once a dependency is; with 300 attempts that is a quarter of an hour of outage."""

PLATFORM = Topology(
    streams=(
        API_EVENTS,
        INFERENCE_EVENTS,
        BILLING_EVENTS,
        COMMANDS,
        GENERATE,
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
        FIND_GENERATION,
        FIND_REQUEST,
        READ_GENERATION,
        READ_USAGE,
    ),
    consumers=(
        Consumer(
            "inference",
            "generate_text",
            GENERATE_TEXT,
            concurrency=1000,
            max_attempts=6,
            runner=Runner.PLAIN,
            has_on_dead=True,
            isolate_after=3,
            quarantine_concurrency=8,
        ),
        Consumer("inference", "cancel_generation", CANCEL_GENERATION, max_attempts=300, backoff=PATIENT),
        Consumer("inference", "register_model", REGISTER_MODEL, concurrency=1, max_attempts=60),
        Consumer("inference", "remove_model", REMOVE_MODEL, concurrency=1, max_attempts=60),
        Consumer(
            "billing",
            "on_generation_completed",
            GENERATION_COMPLETED,
            runner=Runner.PLAIN,
            batch=Batch(256, within_ms=20),
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
    ),
)
