"""The local endpoint on both sides: for who may submit, and for its workers."""

from tests.access.rows import rows_of

V2 = "v2/<slug:slug>"
ITEM = "<str:item_id>"
WORK = {"input": {"a": 1}}
RESULT = {"output": {"b": 2}}


def at(thing, **more):
    """Name the local endpoint, and which item is meant."""
    return {"given": {"slug": "local_slug", "item_id": thing}, **more}


CLIENT = rows_of(
    ("POST", f"{V2}/run", 200, at("", body=WORK)),
    ("POST", f"{V2}/runsync", 200, at("", body=WORK, query="wait=1")),
    *((verb, f"{V2}/status/{ITEM}", 200, at("done_item_id", changes=False))
      for verb in ("GET", "POST")),
    *((verb, f"{V2}/stream/{ITEM}", 200, at("done_item_id", changes=False))
      for verb in ("GET", "POST")),
    ("POST", f"{V2}/cancel/{ITEM}", 200, at("item_id")),
    ("POST", f"{V2}/retry/{ITEM}", 200, at("failed_item_id")),
    ("POST", f"{V2}/purge-queue", 200, {"given": {"slug": "crowded_slug"}}),
    ("GET", f"{V2}/health", 200, at("")),
)  # fmt: skip
# These are nobody's: who may submit may do them.
FOR_ALL = {f"POST {V2}/run", f"POST {V2}/runsync", f"GET {V2}/health"}


def by(worker, item="", **more):
    given = {"slug": "local_slug", "worker_id": worker, "item_id": item}
    return {"given": given, "changes": True, **more}


WHO = "<str:worker_id>"
FREE = "job_in_progress=0"
WORKER = rows_of(
    ("GET", f"{V2}/job-take/{WHO}", 200, by("taker_id", query=FREE)),
    ("GET", f"{V2}/job-take-batch/{WHO}", 200, by("taker_id", query=FREE)),
    ("GET", f"{V2}/job-stop/{WHO}", 200, by("stopped_id")),
    ("GET", f"{V2}/ping/{WHO}", 200, by("worker_id")),
    (
        "POST",
        f"{V2}/job-done/{WHO}/{ITEM}",
        200,
        by("worker_id", "running_item_id", body=RESULT),
    ),
    (
        "POST",
        f"{V2}/job-stream/{WHO}/{ITEM}",
        200,
        by("worker_id", "running_item_id", body=RESULT),
    ),
)
