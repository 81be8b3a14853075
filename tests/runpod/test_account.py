"""One contract for both account APIs, and what each does in its own way."""

from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from jobs.runpod import graphql
from jobs.runpod.account import Money, RemoteEndpoint, Template
from jobs.runpod.errors import Busy, NoAnswer, NotSent, Refused
from jobs.runpod.graphql import GraphQLAccount
from jobs.runpod.rest import RestAccount
from slipway import __version__
from tests.fake_account import KEY


def opened(kind, url, key=KEY):
    if kind == "graphql":
        return GraphQLAccount(f"{url}/graphql", key)
    return RestAccount(f"{url}/rest", key)


@pytest.fixture(params=["graphql", "rest"])
def kind(request):
    return request.param


@pytest.fixture
def account(kind, remote_account):
    with opened(kind, remote_account.url) as client:
        yield client


def made(account, **changes):
    template = account.save_template(
        Template("worker", "you/worker:1", env={"HF_HOME": "/runpod-volume/hf"})
    )
    settings = {"gpu_ids": ("AMPERE_48", "ADA_48_PRO"), "workers_max": 3, **changes}
    return account.save_endpoint(RemoteEndpoint("upscale", template, **settings))


def test_what_is_made_is_there(account):
    volume = account.create_volume("models", 50, "US-TX-3")
    assert account.volumes() == [volume]
    assert (volume.name, volume.size_gb, volume.data_center) == (
        *("models", 50),
        "US-TX-3",
    )
    endpoint = made(account, volume_id=volume.id, locations="US-TX-3")
    [listed] = account.endpoints()
    assert listed.with_(template=endpoint.template) == endpoint
    assert listed.template.image == "you/worker:1"
    assert listed.template.container_disk_gb == 20
    assert listed.template.env == {"HF_HOME": "/runpod-volume/hf"}


def test_saving_an_endpoint_again_changes_it_and_keeps_the_rest(account):
    endpoint = made(account, idle_seconds=30, scaler_value=7, locations="EU-RO-1")
    account.save_endpoint(endpoint.with_(workers_max=1))
    [listed] = account.endpoints()
    assert listed.id == endpoint.id
    assert listed.workers_max == 1
    assert (listed.idle_seconds, listed.scaler_value) == (30, 7)
    assert (listed.locations, listed.gpu_ids) == ("EU-RO-1", endpoint.gpu_ids)


def test_a_changed_template_reaches_the_endpoint_with_the_next_release(account):
    endpoint = made(account)
    old = endpoint.template
    new = Template("worker", "you/worker:2", id=old.id, env=old.env)
    account.save_endpoint(endpoint.with_(template=account.save_template(new)))
    [listed] = account.endpoints()
    assert listed.template.image == "you/worker:2"


def test_what_is_deleted_is_gone(account):
    volume = account.create_volume("models", 50, "US-TX-3")
    endpoint = made(account)
    account.delete_endpoint(endpoint)
    account.delete_volume(volume.id)
    assert (account.endpoints(), account.volumes()) == ([], [])


def test_a_volume_grows(account):
    volume = account.create_volume("models", 50, "US-TX-3")
    grown = account.grow_volume(volume, 80)
    assert (grown.name, grown.size_gb) == ("models", 80)
    assert account.volumes() == [grown]


def test_stock_is_told_by_pool(account, remote_account):
    remote_account.stock["AMPERE_48"] = None
    stock = {gpu.pool: gpu.stock for gpu in account.gpus()}
    assert stock["AMPERE_48"] in {"", "None"}
    assert stock["ADA_24"] == "High"


def test_pods_are_listed(account, remote_account):
    remote_account.pods = [{"id": "p1", "name": "dev", "desiredStatus": "RUNNING"}]
    [pod] = account.pods()
    assert (pod.id, pod.name) == ("p1", "dev")


def test_a_wrong_key_is_refused_and_never_repeated(kind, remote_account):
    with (
        opened(kind, remote_account.url, "rpa_wrong_canary") as client,
        pytest.raises(Refused) as caught,
    ):
        client.endpoints()
    assert caught.value.status == 401
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "error"),
    [((429, {}), Busy), ((503, {}), NoAnswer), ((200, "no"), NoAnswer)],
)
def test_trouble_is_told_apart(account, remote_account, fault, error):
    remote_account.fault = fault
    with pytest.raises(error):
        account.endpoints()


def test_nothing_listens(kind):
    with opened(kind, "http://127.0.0.1:9") as client, pytest.raises(NotSent):
        client.endpoints()


@pytest.mark.parametrize(
    "query",
    [
        "query { myself { serverlessWorkers { id } } }",
        "query { myself { endpoints { jobs { id } } } }",
        "query { myself { endpoints { workers { id } } } }",
        "query { myself { serverlessTemplates { id } } }",
        "query { myself { creditBalance } }",
        "mutation { saveEndpoint(input: {flashBoot: true}) { id } }",
        'mutation { saveTemplate(input: {name: "a", imageName: "b"}) { id } }',
    ],
)
def test_fields_that_do_not_exist_are_an_error_with_status_200(remote_account, query):
    with (
        GraphQLAccount(f"{remote_account.url}/graphql", KEY) as client,
        pytest.raises(Refused, match="RunPod refuses") as caught,
    ):
        client._ask(query)
    assert caught.value.status == 200


def test_no_query_has_a_value_in_it(remote_account):
    """Values that would break a glued string arrive as they are."""
    with GraphQLAccount(f"{remote_account.url}/graphql", KEY) as client:
        odd = Template('a" } b', "you/worker:1", env={"K": 'quote " and { brace'})
        saved = client.save_template(odd)
    assert saved.name == odd.name
    assert saved.env == odd.env
    written = {value for name, value in vars(graphql).items() if name.isupper()}
    assert {query for query, _ in remote_account.requests} <= written
    assert all(variables is not None for _, variables in remote_account.requests)


def test_docker_args_are_always_sent(remote_account):
    with GraphQLAccount(f"{remote_account.url}/graphql", KEY) as client:
        made(client)
    [variables] = remote_account.asked("saveTemplate(")
    assert variables["input"]["dockerArgs"] == ""


def test_money_is_told_by_graphql_only(remote_account):
    remote_account.balance, remote_account.spend = 12.5, 0.25
    with GraphQLAccount(f"{remote_account.url}/graphql", KEY) as client:
        money = client.money()
    assert money == Money(Decimal("12.5"), Decimal("0.25"), Decimal(80))
    assert money.days_left == pytest.approx(50 / 24)
    with RestAccount(f"{remote_account.url}/rest", KEY) as client:
        assert client.money() is None


def test_workers_releases_logs_and_bills_come_by_rest(remote_account):
    with RestAccount(f"{remote_account.url}/rest", KEY) as client:
        endpoint = made(client)
        remote_account.workers[endpoint.id] = [
            {"id": "w1", "status": "UNHEALTHY", "isStale": True, "uptimeSeconds": 9}
        ]
        remote_account.logs["w1"] = [f"line {n}" for n in range(300)] + [f"key {KEY}"]
        [worker] = client.workers(endpoint.id)
        assert (worker.status, worker.is_stale) == ("UNHEALTHY", True)
        lines = list(client.log_lines(endpoint.id, "w1"))
        assert (len(lines), lines[-1]) == (200, "key [key]")
        assert client.releases(endpoint.id)[0].status == "COMPLETED"
        since = datetime(2026, 11, 1, tzinfo=UTC)
        remote_account.bills = [(endpoint.id, 1.25), (endpoint.id, 0.5), ("x", 9)]
        assert client.bills(since) == {endpoint.id: Decimal("1.75"), "x": 9}


def test_the_key_travels_in_a_header_only():
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, json={"data": {"myself": {"endpoints": []}}})

    transport = httpx.MockTransport(answer)
    with GraphQLAccount("https://x.test/graphql", KEY, transport) as client:
        client.endpoints()
    [request] = seen
    assert str(request.url) == "https://x.test/graphql"
    assert KEY not in request.content.decode()
    assert request.headers["User-Agent"] == f"Slipway/{__version__}"
