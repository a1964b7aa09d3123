"""What runs count."""

from prometheus_client import Counter, Gauge

RUNS = Counter("penstock_worker_runs", "Runs that this process brought to their end", ["outcome"])
STEPS = Counter("penstock_worker_steps", "Steps that ended in this process: finished, failed, skipped", ["outcome"])
RUNNING = Gauge("penstock_worker_running", "Runs that this process carries out now")
TAKEN_OVER = Counter("penstock_worker_runs_taken_over", "Runs taken up after another process went silent")
