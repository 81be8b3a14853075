"""Volumes at RunPod: grown, deleted, and kept from those who still need them."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from jobs.lib.errors import Conflict, InvalidInput
from jobs.models import AuditEntry
from jobs.services.operations import accounts, provisioning, volumes
from jobs.services.operations.endpoint_spec import EndpointSpec
from tests.factories import make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def spare(our_account):
    """A volume that nothing uses."""
    with accounts.open_account() as account:
        return account.create_volume("old-models", 50, "US-TX-3")


def provisioned():
    spec = EndpointSpec(
        *("upscale", "you/worker:1", ("ADA_24",)),
        models=("org/small",),
        has_volume=True,
        data_center="US-TX-3",
    )
    return provisioning.provision(spec)


def command(*words):
    out = StringIO()
    call_command("volume", *words, stdout=out)
    return out.getvalue().strip()


def test_a_volume_is_grown(our_account, spare):
    assert volumes.grow("", spare.id, 80, user=make_user()).size_gb == 80
    assert our_account.volumes[spare.id]["size"] == 80
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target) == ("volume_grown", "old-models")
    assert entry.detail == {"id": spare.id, "gb": [50, 80]}


@pytest.mark.parametrize("size", [0, 49, 50, 4097])
def test_a_size_that_cannot_be_is_refused_with_those_that_can(spare, our_account, size):
    with pytest.raises(InvalidInput, match="has 50 GB and can only grow: enter 51 to"):
        volumes.grow("", spare.id, size)
    assert our_account.volumes[spare.id]["size"] == 50


def test_a_spare_volume_is_deleted(our_account, spare):
    volumes.delete("", spare.id, user=make_user())
    assert our_account.volumes == {}
    assert AuditEntry.objects.get().action == "volume_deleted"
    with pytest.raises(Conflict, match="no volume"):
        volumes.delete("", spare.id)


def test_a_volume_that_an_endpoint_uses_stays(our_account):
    provisioned()
    [id] = our_account.volumes
    with pytest.raises(Conflict, match="upscale-models is used by upscale"):
        volumes.delete("", id)
    assert id in our_account.volumes


def test_a_volume_for_an_endpoint_that_died_stays_until_that_is_deleted(our_account):
    endpoint = provisioned()
    [id] = our_account.volumes
    our_account.endpoints.clear()
    with pytest.raises(Conflict, match="used by upscale"):
        volumes.delete("", id)
    provisioning.delete(endpoint)
    volumes.delete("", id)
    assert our_account.volumes == {}


def test_the_command_does_both(our_account, spare):
    assert command("grow", spare.id, "--size", "60") == "old-models has 60 GB."
    with pytest.raises(CommandError, match="enter 61 to 4096 GB"):
        command("grow", spare.id)
    assert command("delete", spare.id) == "old-models (60 GB) is deleted."
    with pytest.raises(CommandError, match="no volume"):
        command("delete", spare.id)
