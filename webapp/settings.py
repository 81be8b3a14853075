"""One file of settings for every environment, read from top to bottom.

What a deployment may set is listed in `.env.example`; the names are promises.
"""

from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.templatetags.static import static

from jobs.lib import conf
from jobs.lib.version import __version__
from webapp import env
from webapp.secret_key import kept_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()

# --- Who we are, and how others reach us ---------------------------------------------
HOST = env.text("HOST", "127.0.0.1")
PORT = env.number("PORT", 8000)
PUBLIC_URL = env.text("PUBLIC_URL", f"http://{HOST}:{PORT}").rstrip("/")
# How our own Celery tasks reach the local endpoint; differs behind a reverse proxy.
INTERNAL_URL = env.text("INTERNAL_URL", PUBLIC_URL).rstrip("/")
DEBUG = env.flag("DEBUG")
SECRET_KEY = env.text("SECRET_KEY") or kept_secret_key(DATA_DIR)
_hosts = {urlsplit(PUBLIC_URL).hostname, urlsplit(INTERNAL_URL).hostname}
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or sorted(
    {host for host in _hosts if host} | {"localhost", "127.0.0.1", "[::1]"}
)
_is_https = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

# --- The parts ------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "axes",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "ninja",
    "jobs.apps.JobsConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "webapp.static_files.StaticFilesMiddleware",
    "jobs.api.middleware.api_middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
INSTALLED_APPS += ["django.forms"]

# --- Database: SQLite in DATA_DIR, or PostgreSQL --------------------------------------
DATABASES = {
    "default": dj_database_url.parse(
        env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}"),
        conn_max_age=0,
    )
}
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"]["ENGINE"] = "webapp.postgresql"
    # A new connection costs as much as the rest of a request.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 1,
        "max_size": 20,
        "timeout": 10,
    }
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction takes the write lock when it begins, so two writers wait
    # for each other instead of failing with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People ---------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Six wrong passwords for a name from one address: a quarter of an hour's pause there.
# Others, and the person at another address, are not held up.
AXES_FAILURE_LIMIT = 6
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "jobs.lib.client_address.of"
AXES_LOCKOUT_CALLABLE = "jobs.views.errors.locked_out"
AXES_ALLOWED_CORS_ORIGINS = None
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

PASSWORD_RESET_TIMEOUT = 60 * 60

# --- Security -------------------------------------------------------------------------
SESSION_COOKIE_NAME = "slipway_session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _is_https
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_NAME = "slipway_csrf"
SECURE_SSL_REDIRECT = False  # the reverse proxy's task; see docs/deploy.md
SECURE_HSTS_SECONDS = 31_536_000 if _is_https else 0
# Not "no-referrer": browsers then send `Origin: null`, which no CSRF check can accept.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains: they belong to the operator, not to us
    "security.W008",  # the redirect to https is the proxy's task
    "security.W021",  # nor do we put the operator's domain on the preload list
]
TRUST_PROXY = env.flag("TRUST_PROXY")
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_FAILURE_VIEW = "jobs.views.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
# Browsers send files to the bucket, and show what lies there.
_bucket_url = urlsplit(env.text("S3_ENDPOINT_URL") or "https://*.amazonaws.com")
_bucket_origins = (
    [f"{_bucket_url.scheme}://{_bucket_url.netloc}"] if env.text("S3_BUCKET") else []
)
CONTENT_SECURITY_POLICY = {
    # The admin theme evaluates expressions in its templates; staff only.
    "EXCLUDE_URL_PREFIXES": ["/admin"],
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "img-src": [SELF, "data:", "blob:", *_bucket_origins],
        "media-src": [SELF, "blob:", *_bucket_origins],
        "connect-src": [SELF, *_bucket_origins],
        "style-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024  # results of SDK workers come as JSON
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- Files ----------------------------------------------------------------------------
STATIC_URL = "static/"
# Set where `collectstatic` has run (the Dockerfile does); else files are found in place.
STATIC_ROOT = env.text("STATIC_ROOT") or None
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
if STATIC_ROOT:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {
            "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        },
    }
WHITENOISE_AUTOREFRESH = DEBUG
STORE_DIR = DATA_DIR / "store"
MEDIA_ROOT = STORE_DIR
# New files go to the bucket where one is set; each file's row says where it lies.
S3_BUCKET = env.text("S3_BUCKET")
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL")  # unset: AWS
S3_REGION = env.text("S3_REGION", "us-east-1" if S3_ENDPOINT_URL else "")
# Unset: the machine's own AWS role.
S3_KEYS = (env.text("AWS_ACCESS_KEY_ID"), env.text("AWS_SECRET_ACCESS_KEY"))
# A proxy in front that serves DATA_DIR/store below this path by X-Accel-Redirect.
X_ACCEL_PREFIX = env.text("X_ACCEL_PREFIX").rstrip("/")

# --- Celery ---------------------------------------------------------------------------
REDIS_URL = env.text("REDIS_URL")
BROKER_DIR = DATA_DIR / "broker"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # the row comes back by its lease, not by us
# For pools of processes; a pool of threads relies on the time-outs of each remote call.
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SOFT_TIME_LIMIT = 45
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_DELIVERY_MODE = "transient"  # messages are hints; rows are kept
CELERY_TIMEZONE = "UTC"
if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    # A hung Redis must cost a page less than a second (kombu adds its own retries).
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        # Two installations may share a Redis without taking each other's messages.
        "global_keyprefix": f"slipway-{sha256(SECRET_KEY.encode()).hexdigest()[:10]}:",
        "visibility_timeout": 300,
        "socket_connect_timeout": 0.5,
        "max_retries": 0,
    }
else:
    CELERY_BROKER_URL = "filesystem://localhost"
    CELERY_BROKER_TRANSPORT = "webapp.broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_DIR / "messages"),
        "data_folder_out": str(BROKER_DIR / "messages"),
        "control_folder": str(BROKER_DIR / "control"),
        "polling_interval": 0.05,
    }
# A sweep that could not start within two seconds is not worth starting: the next is due.
CELERY_BEAT_SCHEDULE = {
    "work-shift": {
        "task": "jobs.work_shift",
        # Shifts follow each other by themselves; this begins anew where that broke off.
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "work-courier": {
        "task": "jobs.work_courier",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "sweep-local-endpoint": {
        "task": "jobs.sweep_local_endpoint",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 4},
    },
    "sweep-uploads": {
        "task": "jobs.sweep_uploads",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 20},
    },
    "sample-endpoints": {
        "task": "jobs.sample_endpoints",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 10},
    },
    "tell-alerts": {
        "task": "jobs.tell_alerts",
        "schedule": timedelta(seconds=15),
        "options": {"expires": 15},
    },
    "send-password-resets": {
        "task": "jobs.send_password_resets",
        "schedule": timedelta(seconds=60),
        "options": {"expires": 60},
    },
    "count-hours": {
        "task": "jobs.count_hours",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "settle-costs": {
        "task": "jobs.settle_costs",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 10},
    },
    "sample-accounts": {
        "task": "jobs.sample_accounts",
        "schedule": timedelta(minutes=5),
        "options": {"expires": 300},
    },
    "sweep-retention": {
        "task": "jobs.sweep_retention",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
}

# --- Limits: JOBS_<NAME>, see jobs/lib/conf.py ---------------------------------------------
globals().update(env.overrides("JOBS", conf.NAMES))

# --- RunPod ---------------------------------------------------------------------------
RUNPOD_API_BASE = env.text("RUNPOD_API_BASE", "https://api.runpod.ai/v2").rstrip("/")
# {"": the key of RUNPOD_API_KEY, "NAME": the key of RUNPOD_API_KEY_NAME}
RUNPOD_KEYS = {"": env.text("RUNPOD_API_KEY"), **env.secrets_named("RUNPOD_API_KEY")}

# The account API for provisioning: "graphql", or its successor "rest".
RUNPOD_ACCOUNT_API = env.text("RUNPOD_ACCOUNT_API", "graphql")
RUNPOD_GRAPHQL_URL = env.text("RUNPOD_GRAPHQL_URL", "https://api.runpod.io/graphql")
RUNPOD_REST_URL = env.text("RUNPOD_REST_URL", "https://api.runpod.io/v2")
HUGGING_FACE_URL = env.text("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
HUGGING_FACE_TOKEN = env.text("HF_TOKEN")
DOCKER_HUB_URL = env.text("DOCKER_HUB_URL", "https://hub.docker.com").rstrip("/")

# --- Mail, for alerts and forgotten passwords -----------------------------------------
globals().update(env.email("EMAIL_URL"))
SENDS_MAIL = bool(env.text("EMAIL_URL"))
ALERT_EMAILS = env.words("ALERT_EMAILS")

# --- Words and times ------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Logs: one line per move, never a payload -----------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)-7s %(name)s %(message)s"},
        "json": {"()": "webapp.json_logs.JsonFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json" if env.flag("JSON_LOGS") else "line",
        }
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
    },
}

# --- Admin ----------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "Slipway",
    "SITE_HEADER": "Slipway",
    "SITE_SUBHEADER": f"Operator's panel, {__version__}",
    "SITE_SYMBOL": "sailing",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _: static("icon.svg")}
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [lambda _: static("css/panel.css")],
    "SCRIPTS": [lambda _: static("js/panel.js")],
    "DASHBOARD_CALLBACK": "jobs.admin.dashboard.callback",
    "SIDEBAR": {"navigation": "webapp.panel.navigation"},
}
