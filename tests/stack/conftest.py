"""One running installation for tests that leave it whole; the others start their own.

The tests of a module run in one pytest process. Where few tests of each are run, those
that leave the installation whole run in one process, too: it is started only once.
"""

import uuid
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.remote import RemoteEndpoint
from tests.stack.chromium import chromium
from tests.stack.installations import Installations
from tests.stack.invariants import CANARY, check
from tests.stack.stack import ROOT

# Begin with what takes longest, so that no process is left alone with it at the end.
LONGEST_FIRST = (
    "test_faults",
    "test_kinds",
    "test_failpoints",
    "test_kills",
    "test_uploads",
    "test_batch_faults",
    "test_batches",
    "test_sdk",
    "test_client",
    "test_main_job",
    "test_cortex",
    "test_operator",
)


# Modules whose tests use the `stack` that all share.
SHARING = (
    *("test_uploads", "test_sdk", "test_client", "test_main_job", "test_browser"),
    *("test_webhooks", "test_batch_pages"),
)


class OneSharedStack(LoadFileScheduling):
    """Give all modules that share a stack to one pytest process.

    Where one test of each is run, starting that stack takes longer than the tests.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = super()._split_scope(nodeid)
        return "shared" if Path(module).stem in SHARING else module


def pytest_xdist_make_scheduler(config, log):
    is_quick = config.getoption("markexpr") == "smoke"
    return OneSharedStack(config, log) if is_quick else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Sort modules after pytest-randomly; it has shuffled the tests of each, too."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
    for item in items:
        if item.get_closest_marker("stack") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def installations(tmp_path_factory, worker_id):
    folder = tmp_path_factory.mktemp("installations")
    is_alone = worker_id == "master"
    common = folder if is_alone else tmp_path_factory.getbasetemp().parent
    made = Installations(folder, common, worker_id)
    yield made
    made.drop()


@pytest.fixture(scope="session")
def stack(installations):
    """A stack that may reach receivers on this machine, and soon sends to them again."""
    with installations.running(
        "shared",
        JOBS_EGRESS_ALLOW='["127.0.0.0/8"]',
        JOBS_WEBHOOK_PAUSES_SECONDS="[0.2, 0.2, 0.2, 0.2, 0.2]",
        JOBS_WEBHOOK_TIMEOUT_SECONDS="2",
        JOBS_WEBHOOK_CLAIM_SECONDS="4",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def _broken_stack(installations):
    with installations.running("fragile", JOBS_SUBMITTING_LOST_SECONDS="10") as running:
        yield running


@pytest.fixture
def fragile_stack(_broken_stack):
    """A stack that nobody else uses now, for tests that kill; they may leave it down."""
    if _broken_stack.process is None:
        _broken_stack.start("--no-sample")
    return _broken_stack


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def bucket_stack(installations, s3_server):
    """A stack that keeps its files in a bucket, in parts of 5 MiB."""
    environment = s3_server.environment(f"stack-{uuid.uuid4().hex[:8]}")
    environment["JOBS_PART_MIN_BYTES"] = str(5 * 1024 * 1024)
    with installations.running("bucket", **environment) as running:
        yield running


@pytest.fixture(scope="session")
def api(stack):
    with stack.client() as client:
        yield client


@pytest.fixture(scope="session")
def clip() -> bytes:
    return (ROOT / "samples" / "portrait-clip.mp4").read_bytes()


@pytest.fixture(scope="module")
def fault_stack(installations, tmp_path_factory):
    """A stack that may be killed and lied to; what must hold is checked at its end.

    It waits less long than the product does before it calls something lost.
    """
    failpoint = tmp_path_factory.mktemp("faults") / "failpoint"
    with installations.running(
        "faults",
        RUNPOD_API_KEY=CANARY,
        FAILPOINTS=str(failpoint),
        JOBS_SUBMITTING_LOST_SECONDS="5",
        JOBS_STEP_LEASE_SECONDS="4",
        JOBS_HOLD_SECONDS="6",
        JOBS_NOT_FOUND_SECONDS="4",
        JOBS_ITEM_LEASE_SECONDS="12",
        JOBS_ITEM_GONE_SECONDS="5",
    ) as running:
        running.failpoint = failpoint
        yield running
        failpoint.unlink(missing_ok=True)
        check(running)


@pytest.fixture(scope="module")
def fault_api(fault_stack):
    with fault_stack.client() as client:
        yield client


@pytest.fixture
def cloud(fault_stack, remote):
    """Add an endpoint at the fake RunPod; check the invariants after the test."""
    made = []

    def add(contract="plain", **fields):
        endpoint = RemoteEndpoint(remote, f"cloud-{uuid.uuid4().hex[:8]}")
        runner = ("--runner", "echo") if contract == "slipway" else ()
        fault_stack.manage(
            *("add_endpoint", endpoint.name, "--runpod-id", endpoint.name),
            *("--api-base", remote.url, "--contract", contract, *runner),
        )
        values = {"proof_seconds": 3, **fields}
        changes = ", ".join(f"{name} = {value}" for name, value in values.items())
        fault_stack.query(
            f"UPDATE jobs_endpoint SET {changes} WHERE slug = '{endpoint.name}'"
        )
        made.append(endpoint)
        return endpoint

    yield add
    check(fault_stack, *made)
