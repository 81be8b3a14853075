"""Twenty lines over the real settings."""

import os
import tempfile
from pathlib import Path

_folder = Path(tempfile.mkdtemp(prefix="slipway-test-"))
os.environ["DATA_DIR"] = str(_folder)
os.environ.setdefault("SECRET_KEY", "test-only-0123456789-abcdefghijklmnopqrstuvwxyz")

from webapp.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT = "memory"
CELERY_BROKER_TRANSPORT_OPTIONS = {}
PUBLIC_URL = INTERNAL_URL = "http://testserver"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
STORE_DIR = _folder / "store"
JOBS_DISK_RESERVE_BYTES = 0
JOBS_LONG_POLL_SECONDS = 0.3
JOBS_LONG_POLL_PAUSE_SECONDS = 0.02
JOBS_REFUSED_WORKER_PAUSE_SECONDS = 0.0
JOBS_LIVE_PAUSE_SECONDS = 0.02
JOBS_ALERT_SECONDS = 0
WHITENOISE_AUTOREFRESH = True  # each test client would list all static files
RUNPOD_KEYS = {"": "runpod-test-key"}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # In memory, several threads would lock whole tables; in a file it is as in use.
    DATABASES["default"]["TEST"] = {"NAME": str(_folder / "test.sqlite3")}  # noqa: F405
