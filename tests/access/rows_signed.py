"""What a signed address or token opens: files, our handler's calls, RunPod's rings."""

from tests.access.rows import rows_of

FILES = rows_of(*((verb, "files/<str:signed>", 200) for verb in ("GET", "HEAD")))
ATTEMPT = "worker/v1/attempts/<str:attempt_id>"
PARTED = {"given": {"attempt_id": "parted"}}
HANDLER = rows_of(
    ("POST", f"{ATTEMPT}/claim", 200, {"body": {"worker_id": "w", "runpod_id": "r"}}),
    ("POST", f"{ATTEMPT}/progress", 200, {"body": {"seq": 5}}),
    ("POST", f"{ATTEMPT}/inputs", 200, {"body": {}, "changes": False}),
    ("POST", f"{ATTEMPT}/outputs", 200, {"body": {"name": "a"}, "changes": False}),
    # 422: the file, which was opened, has no part 2.
    (
        "POST",
        f"{ATTEMPT}/outputs/parts",
        422,
        {"body": {"name": "large.bin", "numbers": [2]}, **PARTED},
    ),
    ("POST", f"{ATTEMPT}/finish", 200, {"body": {"schema": 1, "output": {"a": 1}}}),
)
# In front of Django.
OUTPUTS = rows_of(("PUT", "worker/v1/outputs/<str:output>", 201, {"body": b"1234"}))
HOOKS = rows_of(("POST", "hooks/runpod/<str:ring>", 200, {"body": {"id": "r-1"}}))
