"""An endpoint: a RunPod serverless endpoint, or our local one that imitates it."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, URLValidator
from django.db import models
from jsonschema.exceptions import SchemaError

from jobs.lib import input_schemas, links
from jobs.models.prepared import Prepared

_KEEP = "Days after its end that {} are kept. 0: for ever. Blank: as everywhere."


class Endpoint(models.Model):
    """Where jobs of one kind run, and the schema of their input."""

    # What is large and only its own pages show; lists of other things do not read it.
    LARGE = ("input_schema", "example_input", "observed")

    class Kind(models.TextChoices):
        RUNPOD = "runpod", "RunPod"
        LOCAL = "local", "Local"

    class Contract(models.TextChoices):
        SLIPWAY = "slipway", "Slipway handler (files, progress, manifest)"
        PLAIN = "plain", "Plain (any RunPod handler)"

    class OnUnknown(models.TextChoices):
        RESUBMIT = "resubmit", "Submit again (at least once)"
        HOLD = "hold", "Fail and let a person decide (at most once)"

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.RUNPOD)
    contract = models.CharField(
        max_length=10, choices=Contract, default=Contract.SLIPWAY
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Off: no new jobs are accepted."
    )
    runpod_id = models.CharField("RunPod endpoint id", max_length=80, blank=True)
    api_base = models.CharField(
        "API base",
        max_length=200,
        blank=True,
        validators=[URLValidator(["http", "https"])],
        help_text="Blank: RUNPOD_API_BASE. Calls go to <API base>/<RunPod endpoint id>/run.",
    )
    key_name = models.CharField(
        max_length=40,
        blank=True,
        help_text="NAME uses the secret RUNPOD_API_KEY_NAME; blank uses RUNPOD_API_KEY. "
        "Keys are never stored here.",
    )
    queue = models.SlugField(
        max_length=60,
        blank=True,
        help_text="Local only: endpoints with the same queue share workers. Blank: own queue.",
    )
    worker_key_version = models.PositiveIntegerField(
        default=1, help_text="Local only: raise it to make old worker keys useless."
    )
    runner = models.SlugField(
        max_length=60,
        blank=True,
        help_text="Which runner of our handler does the work.",
    )
    input_schema = models.JSONField(
        default=dict, blank=True, help_text="JSON Schema (2020-12) of a job's input."
    )
    example_input = models.JSONField(default=dict, blank=True)
    config = models.JSONField(
        default=dict,
        blank=True,
        help_text="What a batch handler is given; a batch's own config wins, key by key.",
    )
    overflow = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        help_text="An endpoint with the same handler that takes a part of large batches.",
    )
    max_attempts = models.PositiveSmallIntegerField(default=3)
    on_unknown = models.CharField(
        max_length=10, choices=OnUnknown, default=OnUnknown.RESUBMIT
    )
    proof_seconds = models.PositiveIntegerField(
        default=600,
        help_text="How long to look for proof when RunPod may or may not have a job.",
    )
    max_workers = models.PositiveIntegerField(
        default=3, help_text="As set at RunPod. More are believed when they are seen."
    )
    price_per_second = models.DecimalField(
        max_digits=10,
        decimal_places=7,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="US dollars for a worker's second. Blank: that of its first GPU tier "
        "with a price; on your own GPU, nothing.",
    )
    worker_concurrency = models.PositiveIntegerField(
        default=1, help_text="Jobs that one worker runs at once."
    )
    release_window = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=0,
        help_text="How many jobs RunPod may hold at once; the others wait here, owners "
        "taking turns. 0: workers times concurrency and a margin. Blank: no limit.",
    )
    execution_timeout_seconds = models.PositiveIntegerField(default=3600)
    keep_inputs_days = models.PositiveIntegerField(
        null=True, blank=True, help_text=_KEEP.format("the files of a job's input")
    )
    keep_results_days = models.PositiveIntegerField(
        null=True, blank=True, help_text=_KEEP.format("completed jobs and their files")
    )
    keep_failed_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text=_KEEP.format("jobs that ended without a result"),
    )
    # Its configuration at RunPod when we last saw it, without its environment.
    remote = models.JSONField(default=dict, blank=True, editable=False)
    # What else we saw there: workers, log lines, stock, releases; for the diagnosis.
    observed = models.JSONField(default=dict, blank=True, editable=False)
    # Why nothing ran there when we last looked; empty where nothing was wrong.
    diagnosis = models.JSONField(default=dict, blank=True, editable=False)
    sampled_at = models.DateTimeField(null=True, blank=True, editable=False)
    # RunPod's 404s for the whole endpoint: the first, the last, and how many in a row.
    unreachable_at = models.DateTimeField(null=True, blank=True, editable=False)
    not_found_at = models.DateTimeField(null=True, blank=True, editable=False)
    not_found_count = models.PositiveIntegerField(default=0, editable=False)
    purged_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """Refuse an input schema that inputs could not be checked against."""
        try:
            input_schemas.check(self.input_schema)
        except SchemaError as error:
            raise ValidationError({"input_schema": error.message}) from None
        if not isinstance(self.config, dict):
            raise ValidationError({"config": "Write an object: {…}."})
        problem = self._overflow_problem()
        if problem:
            raise ValidationError({"overflow": problem})

    def _overflow_problem(self) -> str:
        other = self.overflow
        if other is None:
            return ""
        if other.pk == self.pk:
            return "Choose another endpoint."
        if (other.contract, other.runner) != (self.contract, self.runner):
            return f"{other} must have the same runner and contract."
        return ""

    @property
    def base_url(self) -> str:
        """The base URL of this endpoint's job API, without a trailing slash."""
        if self.kind == self.Kind.LOCAL:
            return f"{settings.INTERNAL_URL}/v2/{self.slug}"
        return (
            f"{self.api_base.rstrip('/') or settings.RUNPOD_API_BASE}/{self.runpod_id}"
        )

    @property
    def client_key(self) -> str:
        """The secret that our client sends; empty if its variable is not set."""
        if self.kind == self.Kind.LOCAL:
            return links.local_client_key(self.slug)
        return str(settings.RUNPOD_KEYS.get(self.key_name, ""))

    @property
    def queue_name(self) -> str:
        """The local queue that this endpoint's workers take from."""
        return self.queue or self.slug

    @property
    def worker_key(self) -> str:
        """The key that a worker of this local endpoint sends."""
        return links.worker_key(self.queue_name, self.worker_key_version)

    def file_fields(self) -> dict[str, dict[str, Any]]:
        """Return {name: schema} of the input fields that take a file."""
        properties = self.input_schema.get("properties", {})
        return {
            name: schema
            for name, schema in properties.items()
            if isinstance(schema, dict) and schema.get("x-widget") == "file"
        }

    @classmethod
    def by_slug(cls, slug: str) -> "Endpoint | None":
        """Return an endpoint by its slug."""
        endpoint: Endpoint | None = _BY_SLUG.first(slug=slug)
        return endpoint


_BY_SLUG = Prepared(
    lambda slug: Endpoint.objects.filter(slug=slug), slug=("one", "another")
)
