"""`python -m tests.contract.make_metrics`: write docs/metrics.md anew."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

PATH = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
PACKAGES = ("common", "api", "inference", "billing", "worker", "scheduler", "indexer")
EVERY = "every service"
AUDIT = "penstock.auditing.metrics", "the audit"
"""The only module of the command line that counts."""
NOT_IMPORTED = ("__main__", "migrations")
"""Programs, and what only Alembic can load."""

LABELS = {
    "book": "the two books of the ledger: `customer`, `provider`",
    "bus": "`nats` or `rabbitmq`",
    "by": "what noticed: a constant of the code",
    "consumer": "the consumers of the topology table, quarantine and dead lanes included; of the audit also `requests`",
    "lane": "`interactive`, `embeddings`",
    "method": "the methods of HTTP, and `_OTHER`",
    "model": "the catalogue's models by name, and `-` where a request named none of them",
    "outcome": "a constant of the code",
    "route": "the routes as OpenAPI names them, and `-` where none took the request",
    "same": "`true` or `false`",
    "service": "the services",
    "state": "a constant of the code",
    "status": "HTTP statuses that the code sends",
}
"""What bounds each label. A label that is not here is refused: no client chooses how many series there are."""

HEAD = """# Metrics

Every service serves its metrics for Prometheus at `/metrics` on its own port, together with those of the Python process
(`process_…`, `python_…`). So does the audit of the bus, see [howto/audit.md](howto/audit.md). Alerts on them:
`deploy/prometheus/alerts.yaml`. This page is written by `python -m tests.contract.make_documents` from the code.
"""


@dataclass(frozen=True, order=True)
class Metric:
    """One row of the page."""

    name: str
    kind: str
    labels: tuple[str, ...]
    service: str
    meaning: str


def modules() -> Iterator[tuple[str, object]]:
    """(service, module) of all code that runs in services."""
    for name in PACKAGES:
        package = importlib.import_module(f"penstock_{name}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not set(found.name.split(".")) & set(NOT_IMPORTED):
                yield name, importlib.import_module(found.name)


def metrics() -> list[Metric]:
    """Everything that the code counts, by name."""
    found: dict[int, Metric] = {}
    for service, module in [*modules(), (AUDIT[1], importlib.import_module(AUDIT[0]))]:
        for value in vars(module).values():
            if isinstance(value, Counter | Gauge | Histogram):
                found.setdefault(id(value), described(value, EVERY if service == "common" else service))
    return sorted(found.values())


def described(metric: Counter | Gauge | Histogram, service: str) -> Metric:
    """A metric under the name by which it is queried."""
    (family,) = metric.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Metric(name, family.type, tuple(metric._labelnames), service, family.documentation)


def text() -> str:
    """The page as the code is today."""
    rows = metrics()
    used = sorted({label for row in rows for label in row.labels})
    lines = [HEAD, "| metric | kind | labels | from | meaning |", "|---|---|---|---|---|"]
    for row in rows:
        labels = ", ".join(f"`{label}`" for label in row.labels)
        lines.append(f"| `{row.name}` | {row.kind} | {labels} | {row.service} | {row.meaning} |")
    lines += ["", "Labels and what bounds them:", "", "| label | values |", "|---|---|"]
    lines += [f"| `{label}` | {LABELS[label]} |" for label in used]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
