"""The pages: for who is signed in."""

from tests.access.rows import rows_of

TEXT = [("input-text", "hi")]
ITEMS = [("batch-source", "pasted"), ("batch-pasted", '{"text": "one"}')]
FILE = {"given": {"name": "file_name"}}
NEW = [("new_password1", "another-long-one"), ("new_password2", "another-long-one")]


def new_password(things):
    name = things.owner.username
    return [("old_password", f"{name}-password"), *NEW]


JOB, BATCH = "jobs/<uuid:job_id>/", "batches/<uuid:batch_id>/"
HOOK = "account/webhooks/<str:name>/"
PAGES = rows_of(
    ("GET", "", 200),
    ("GET", "new/<slug:slug>/", 200),
    ("POST", "new/<slug:slug>/", 302, {"body": TEXT}),
    ("GET", "jobs/", 200),
    ("GET", JOB, 200),
    ("GET", f"{JOB}fragment/", 200),
    ("GET", f"{JOB}live/", 200),
    ("POST", f"{JOB}cancel/", 302, {"given": {"job_id": "waiting_job_id"}}),
    ("POST", f"{JOB}keep/", 302, {"body": [("kept", "1")]}),
    ("GET", f"{JOB}delete/", 200),
    ("POST", f"{JOB}delete/", 302),
    ("GET", f"{JOB}outputs/<str:name>", 302, FILE),
    ("GET", "batches/", 200),
    ("GET", "batches/new/", 200),
    ("GET", "batches/new/<slug:slug>/", 200),
    ("POST", "batches/new/<slug:slug>/", 302, {"body": ITEMS}),
    ("GET", BATCH, 200),
    ("GET", f"{BATCH}items/", 200),
    ("GET", f"{BATCH}fragment/", 200),
    ("POST", f"{BATCH}cancel/", 302),
    ("POST", f"{BATCH}retry/", 302, {"changes": False}),
    ("GET", "uploads/", 200),
    ("POST", "uploads/<uuid:upload_id>/delete/", 302),
    ("GET", "account/usage/", 200),
    ("GET", "account/password/", 200),
    ("POST", "account/password/", 302, {"body": new_password}),
    ("GET", "account/keys/", 200),
    ("POST", "account/keys/", 200, {"body": [("name", "k"), ("scopes", "jobs:read")]}),
    ("POST", "account/keys/<int:key_id>/revoke/", 302),
    ("GET", "account/webhooks/", 200),
    ("POST", "account/webhooks/", 302, {"body": [("url", "https://example.com/")]}),
    ("GET", HOOK, 200),
    ("POST", f"{HOOK}change/", 302, {"body": [("do", "pause")]}),
    ("POST", "account/deliveries/<uuid:delivery_id>/replay/", 302),
)
# Nobody needs to sign in for these; what they tell is told to everybody.
RESET = "account/forgotten/<str:uidb64>/<str:token>/"
OPEN = rows_of(
    ("GET", "account/sign-in/", 200),
    ("POST", "account/sign-in/", 200, {"body": [("username", "x"), ("password", "y")]}),
    ("POST", "account/sign-out/", 302),
    ("GET", "account/forgotten/", 200),
    ("POST", "account/forgotten/", 200, {"body": [("email", "nobody@example.com")]}),
    ("GET", "healthz", 200),
    ("GET", "readyz", 200),
    ("GET", "api/v1/openapi.json", 200),
    ("GET", "api/v1/docs", 200),
    ("GET", "admin/login/", 200),
    ("POST", "admin/login/", 200, {"body": [("username", "x"), ("password", "y")]}),
)
