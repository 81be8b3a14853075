"""A batch through the whole stack, with processes killed in the middle."""

import pytest

from tests.stack.stack import wait_until

pytestmark = pytest.mark.stack


def test_every_item_ends_once_although_everything_is_killed(fragile_stack):
    with fragile_stack.client() as client:
        items = [
            {"message": str(n), **({"error": "on purpose"} if n % 10 == 3 else {})}
            for n in range(60)
        ]
        body = {"endpoint": "echo", "items": items, "workers": 12}
        batch = client.post("/api/v1/batches", json=body).json()
        path = f"/api/v1/batches/{batch['id']}"

        def counts():
            try:
                return client.get(path).json()["counts"]
            except Exception:  # noqa: BLE001 - the web process is being restarted
                return {"completed": 0, "active": 0, "waiting": 1}

        wait_until(lambda: counts()["completed"] >= 5, what="some are done")
        for part in ("tasks", "web", "gpu", "beat"):
            fragile_stack.kill(part)
        wait_until(
            lambda: counts()["active"] + counts()["waiting"] == 0, 240, "all have ended"
        )
        assert counts() == {
            "waiting": 0,
            "active": 0,
            "completed": 54,
            "failed": 6,
            "cancelled": 0,
            "deleted": 0,
        }
        rows = fragile_stack.query(
            "SELECT batch_index, COUNT(*) FROM jobs_job GROUP BY batch_index"
        )
        assert sorted(rows) == [(n, 1) for n in range(60)]
        assert client.post(f"{path}/retry_failed").json() == {"retried": 6}
        wait_until(lambda: counts()["active"] == 0, what="the failed ones ended again")
        failed = client.get(f"{path}/items?status=FAILED").json()["data"]
        assert sorted(job["batch_index"] for job in failed) == [3, 13, 23, 33, 43, 53]
        assert all(job["source_job"] for job in failed)
        wait_until(lambda: client.get(path).json()["ended_at"], what="the batch ended")
