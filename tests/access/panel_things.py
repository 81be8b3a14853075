"""One row of every kind that the panel shows."""

from functools import cached_property

from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.utils.timezone import now

from jobs.models import Alert, ApiKey, AuditEntry, Budget, GpuPrice, Spend
from tests.factories import make_user


class PanelThings:
    """Made from what one person has; each row when it is first named."""

    def __init__(self, things):
        self.of, self.owner = things, things.owner

    @cached_property
    def alert(self):
        return Alert.objects.create(endpoint=self.of.endpoint, code="c").pk

    @cached_property
    def auditentry(self):
        return AuditEntry.objects.create(user=self.owner, action="a").pk

    @cached_property
    def budget(self):
        return Budget.objects.create(user=self.owner, period="day", amount=1).pk

    @cached_property
    def gpuprice(self):
        return GpuPrice.objects.create(pool=f"TIER_{self.owner.pk}").pk

    @cached_property
    def group(self):
        return Group.objects.create(name=self.owner.username).pk

    @cached_property
    def spend(self):
        day = now().date()
        of = {"endpoint": self.of.endpoint, "user": self.owner}
        return Spend.objects.create(day=day, **of).pk

    @cached_property
    def user(self):
        return make_user(f"friend-of-{self.owner.username}").pk

    @cached_property
    def apikey(self):
        return ApiKey.issue(owner=self.owner, name="k")[0].pk

    @property
    def endpoint(self):
        return self.of.endpoint.pk

    batch = property(lambda self: self.of.batch_id)
    delivery = property(lambda self: self.of.delivery_id)
    job = property(lambda self: self.of.waiting_job_id)
    localworker = property(lambda self: self.of.worker_id)
    upload = property(lambda self: self.of.upload_id)
    webhook = property(lambda self: self.of.webhook_id)

    @property
    def content_type(self):
        return ContentType.objects.get(app_label="auth", model="user").pk
