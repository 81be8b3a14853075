"""Endpoints with a price, jobs that have cost something, budgets."""

from datetime import timedelta
from decimal import Decimal

from django.utils.timezone import now

from jobs.models import Budget, Spend
from jobs.services.lifecycle import jobs
from jobs.services.money import budgets
from tests.factories import make_endpoint, make_job, make_user

PRICE = Decimal("0.00031")


def priced(slug="blur", pools=("ADA_24",), **fields):
    return make_endpoint(slug, remote={"gpu_ids": list(pools)}, **fields)


def ended(seconds=10.0, *, status="COMPLETED", endpoint=None, **fields):
    """Return an ended job whose one attempt ran for so long."""
    at = fields.pop("at", now())
    job = make_job(
        status,
        endpoint=endpoint or priced(),
        started_at=at - timedelta(seconds=seconds),
        finished_at=at,
        **fields,
    )
    job.attempts.update(execution_ms=int(seconds * 1000), ended_at=at)
    return job


def spend(amount, **whose):
    fields = {"day": now().date(), "endpoint": priced(), "user": make_user(), **whose}
    Spend.objects.create(amount=amount, jobs=1, **fields)


def submit(owner=None, endpoint=None, key=None):
    return jobs.create(
        owner=owner or make_user(),
        endpoint=endpoint or priced(),
        input={"text": "hi"},
        api_key_id=key.pk if key else None,
    )


def limit(amount, **whose):
    made = Budget.objects.create(amount=amount, **whose)
    budgets.forget()
    return made
