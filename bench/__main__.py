"""`make bench`: runs every benchmark, or the one named on the command line."""

import sys

from bench import (
    api,
    batches,
    dashboard,
    drain,
    events,
    noop,
    tracking,
    uploads,
    worker,
)

BENCHMARKS = {
    "noop": noop.main,
    "api": api.main,
    "events": events.main,
    "uploads": uploads.main,
    "tracking": tracking.main,
    "drain": drain.main,
    "batches": batches.main,
    "dashboard": dashboard.main,
    "worker": worker.main,
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        BENCHMARKS[sys.argv[1]](*sys.argv[2:])
    else:
        for run in BENCHMARKS.values():
            run()
