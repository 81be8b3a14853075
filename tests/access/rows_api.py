"""The JSON API and the ways to upload: for a key with the scope, or a cookie."""

from tests.access.rows import rows_of

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "upload-offset": "0"}
UNFINISHED = {"given": {"upload_id": "unfinished_id"}}
FILE = {"given": {"name": "file_name"}}
FREE = {"given": {"slug": "free_slug"}}
MORE = {"numbers": [1]}
NEW_FILE = {"filename": "a.bin", "size": 3}
CORTEX = {"workers": 1, "item_list": {"items": [{"text": "a"}], "batch_size": 1}}


def of_endpoint(**more):
    return lambda things: {"endpoint": things.slug, **more}


def job_id(things):
    return f"jobID={things.batch_id}"


def lines(scope, *more, limited=None):
    """Add the scope, and what a key for other endpoints gets."""
    given = {"scope": scope, "limited": limited}
    complete = [
        (*line[:3], {**given, **(line[3] if len(line) > 3 else {})}) for line in more
    ]
    return rows_of(*complete)


JOB, BATCH = "api/v1/jobs/<uuid:job_id>", "api/v1/batches/<uuid:batch_id>"
SLUG, HOOKS = "api/v1/endpoints/<slug:slug>", "api/v1/webhooks"
UPLOAD, PARTS = "api/v1/uploads/<uuid:upload_id>", "uploads/s3/multipart"
PART, SENT = f"{PARTS}/<uuid:upload_id>", "uploads/tus/<uuid:upload_id>"
MADE_JOB = of_endpoint(input={"text": "hi"})
MADE_BATCH = of_endpoint(items=[{"text": "hi"}])
CORTEX_ROUTES = ("api/v1/batch/<slug:slug>", "batch/<slug:slug>")

API = [
    *lines("", ("GET", "api/v1/me", 200)),
    *lines("jobs:read", ("GET", "api/v1/jobs", 200), ("GET", "api/v1/batches", 200)),
    *lines(
        "jobs:read",
        ("GET", JOB, 200),
        ("GET", f"{JOB}/events", 200),
        ("GET", f"{JOB}/outputs/<name>", 302, FILE),
        ("GET", BATCH, 200),
        ("GET", f"{BATCH}/items", 200),
        ("GET", f"{BATCH}/results.ndjson", 200),
        ("GET", f"{BATCH}/failures.ndjson", 200),
        ("GET", f"{BATCH}/results.zip", 200),
        *(("GET", route, 200, {"query": job_id}) for route in CORTEX_ROUTES),
        limited=404,
    ),
    *lines(
        "jobs:write",
        ("DELETE", JOB, 204),
        ("POST", f"{JOB}/cancel", 202, {"given": {"job_id": "waiting_job_id"}}),
        ("POST", f"{JOB}/retry", 201),
        ("POST", f"{JOB}/keep", 200, {"body": {"kept": True}}),
        ("POST", f"{BATCH}/cancel", 202),
        ("POST", f"{BATCH}/retry_failed", 202, {"changes": False}),
        *(("POST", route, 200, {"body": CORTEX, **FREE}) for route in CORTEX_ROUTES),
        *(("DELETE", route, 200, {"query": job_id}) for route in CORTEX_ROUTES),
        limited=404,
    ),
    *lines(
        "jobs:write",
        ("POST", "api/v1/jobs", 201, {"body": MADE_JOB}),
        ("POST", "api/v1/batches", 201, {"body": MADE_BATCH}),
        limited=422,
    ),
    *lines("endpoints:read", ("GET", "api/v1/endpoints", 200)),
    *lines(
        "endpoints:read",
        ("GET", SLUG, 200),
        ("POST", f"{SLUG}/estimate", 200, {"body": {"input": {}}, "changes": False}),
        limited=404,
    ),
    # Nothing answers for RunPod here: 409 says that it was asked.
    *lines(
        "endpoints:admin",
        ("POST", f"{SLUG}/purge", 409, {"owner": "root"}),
        limited=404,
    ),
    *lines(
        "webhooks:admin",
        ("GET", HOOKS, 200),
        ("POST", HOOKS, 201, {"body": {"url": "https://example.com/new"}}),
        ("GET", f"{HOOKS}/<uuid:webhook_id>", 200),
        ("PATCH", f"{HOOKS}/<uuid:webhook_id>", 200, {"body": {"is_active": False}}),
        ("DELETE", f"{HOOKS}/<uuid:webhook_id>", 204),
        ("POST", f"{HOOKS}/<uuid:webhook_id>/test", 202),
        ("GET", f"{HOOKS}/<webhook_id>/secret", 200),
        ("POST", f"{HOOKS}/<webhook_id>/rotate-secret", 200),
        ("GET", f"{HOOKS}/<webhook_id>/deliveries", 200),
        ("GET", f"{HOOKS}/deliveries/<uuid:delivery_id>", 200),
        ("POST", f"{HOOKS}/deliveries/<uuid:delivery_id>/replay", 202),
    ),
    *lines(
        "uploads:write",
        ("POST", "api/v1/uploads", 201, {"body": NEW_FILE}),
        ("GET", UPLOAD, 200),
        ("DELETE", UPLOAD, 204),
    ),
]
# Here it is our disk that files go to: 409 says that they do not come in parts.
UPLOADS = lines(
    "uploads:write",
    ("POST", f"{UPLOAD}/parts", 409, {**UNFINISHED, "body": MORE}),
    ("POST", f"{UPLOAD}/complete", 409, UNFINISHED),
    ("POST", "uploads/open", 200, {"body": NEW_FILE}),
    ("POST", PARTS, 409, {"body": NEW_FILE}),
    ("GET", PART, 200),
    ("DELETE", PART, 204),
    ("POST", f"{PART}/sign", 409, {**UNFINISHED, "body": MORE}),
    ("POST", f"{PART}/complete", 409, UNFINISHED),
    ("POST", "uploads/tus/", 201, {"headers": {**TUS, "upload-length": "4"}}),
    ("HEAD", SENT, 200, {"headers": TUS, "changes": True, **UNFINISHED}),
    ("DELETE", SENT, 204, {"headers": TUS, **UNFINISHED}),
)
# In front of Django: bytes of files.
RAW_UPLOADS = lines(
    "uploads:write",
    ("PATCH", SENT, 204, {"headers": PATCH, "body": b"1234", **UNFINISHED}),
    (
        "POST",
        "uploads/tus/",
        201,
        {"headers": {**TUS, "upload-length": "4"}, "body": b"1234"},
    ),
)
