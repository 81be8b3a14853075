"""One batch on two back ends at once: RunPod's and our own GPU."""

from collections import Counter

import pytest

from tests.stack.stack import wait_until

pytestmark = pytest.mark.stack


@pytest.mark.timeout(240)
def test_a_batch_is_shared_by_runpod_and_the_local_endpoint(
    fault_stack, fault_api, cloud
):
    remote = cloud("slipway", max_workers=2)
    remote.script(workers=2)
    fault_stack.query(
        "UPDATE jobs_endpoint SET overflow_id = "
        "(SELECT id FROM jobs_endpoint WHERE slug = 'echo') "
        f"WHERE slug = '{remote.name}'"
    )
    items = [{"message": f"m{n}", "seconds": 0.5} for n in range(40)]
    body = {"endpoint": remote.name, "items": items}
    batch = fault_api.post("/api/v1/batches", json=body).json()
    path = f"/api/v1/batches/{batch['id']}"
    wait_until(lambda: fault_api.get(path).json()["ended_at"], what="it ended")
    assert fault_api.get(path).json()["status"] == "COMPLETED"
    jobs = fault_api.get(f"{path}/items?limit=100").json()["data"]
    assert sorted(job["output"]["message"] for job in jobs) == sorted(
        item["message"] for item in items
    )
    where = Counter(job["endpoint"] for job in jobs)
    assert set(where) == {remote.name, "echo"}
    assert min(where.values()) >= 5
