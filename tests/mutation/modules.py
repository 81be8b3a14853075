"""What is mutated, and how much of it the tests must notice."""

from pathlib import Path

ROOT = Path.cwd()
LEAST = 85  # per cent of each module's mutants
MODULES = (
    "jobs/states.py",
    "jobs/services/lifecycle/sync.py",
    "jobs/services/lifecycle/submission.py",
    "jobs/services/lifecycle/reconcile.py",
    "jobs/services/lifecycle/release.py",
    "jobs/services/lifecycle/not_found.py",
    "jobs/services/money/budgets.py",
    "jobs/services/money/costs.py",
    "jobs/services/notifications/webhooks.py",
    "jobs/lib/egress.py",
    "jobs/lib/redaction.py",
    "jobs/local_endpoint/queue.py",
    "jobs/asgi/api.py",
    "jobs/asgi/uploads.py",
    "jobs/shifts/loop/shift.py",
    "jobs/shifts/loop/actions.py",
    "jobs/shifts/loop/endpoint_state.py",
    "jobs/shifts/loop/pace.py",
    "jobs/shifts/loop/rate_budget.py",
    "jobs/shifts/loop/breaker.py",
    "worker_handler/slipway_worker/downloads.py",
    "worker_handler/slipway_worker/work.py",
)
