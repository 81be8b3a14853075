"""One running installation for all stack tests; tests that break it start their own."""

import uuid

import psycopg
import pytest

from tests.remote import RemoteEndpoint
from tests.stack.chromium import chromium
from tests.stack.invariants import CANARY, check
from tests.stack.stack import ROOT, RunningStack


@pytest.fixture(scope="session")
def own_database():
    """Give a stack a fresh PostgreSQL database, where the run is on PostgreSQL."""
    import os  # noqa: PLC0415

    server = os.environ.get("DATABASE_URL", "")
    made = []

    def make() -> dict[str, str]:
        if not server.startswith("postgres"):
            return {}
        name = f"slipway_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        made.append(name)
        head, mark, query = server.partition("?")
        return {"DATABASE_URL": f"{head.rpartition('/')[0]}/{name}{mark}{query}"}

    yield make
    for name in made:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def stack(tmp_path_factory, own_database):
    running = RunningStack(tmp_path_factory.mktemp("stack"), **own_database())
    running.start("--no-sample")
    yield running
    assert running.stop() == 0


@pytest.fixture
def fragile_stack(tmp_path, own_database):
    """A stack of one's own, for tests that kill."""
    running = RunningStack(tmp_path / "data", **own_database())
    running.start("--no-sample")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def bucket_stack(tmp_path_factory, own_database, s3_server):
    """A stack that keeps its files in a bucket, in parts of 5 MiB."""
    environment = s3_server.environment(f"stack-{uuid.uuid4().hex[:8]}")
    running = RunningStack(
        tmp_path_factory.mktemp("bucket"),
        **own_database(),
        **environment,
        JOBS_PART_MIN_BYTES=str(5 * 1024 * 1024),
    )
    running.start("--no-sample")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def api(stack):
    with stack.client() as client:
        yield client


@pytest.fixture(scope="session")
def clip() -> bytes:
    return (ROOT / "samples" / "portrait-clip.mp4").read_bytes()


@pytest.fixture(scope="session")
def fault_stack(tmp_path_factory, own_database):
    """A stack that may be killed and lied to; what must hold is checked at its end."""
    folder = tmp_path_factory.mktemp("faults")
    running = RunningStack(
        folder / "data",
        **own_database(),
        RUNPOD_API_KEY=CANARY,
        FAILPOINTS=str(folder / "failpoint"),
    )
    running.failpoint = folder / "failpoint"
    running.start("--no-sample")
    yield running
    running.failpoint.unlink(missing_ok=True)
    check(running)
    assert running.stop() == 0


@pytest.fixture(scope="session")
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
