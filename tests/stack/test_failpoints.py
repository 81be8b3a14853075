"""F22: kill -9 at every named failpoint, one by one: the job still ends, once."""

import pytest

from jobs.lib.failpoints import NAMES
from tests.stack.stack import until, wait_until
from tests.stack.test_faults import PNG

pytestmark = pytest.mark.stack
SMOKE = {"submit.after_post"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.smoke if n in SMOKE else ()) for n in NAMES],
)
def test_a_job_survives_a_death_at(fault_stack, fault_api, cloud, name):
    endpoint = cloud()
    endpoint.script(output={"image": PNG})
    mark = f"at-{name}"
    fault_stack.failpoint.write_text(f"{name}:exit:{mark}")
    made = fault_api.post(
        "/api/v1/jobs",
        json={
            "endpoint": endpoint.name,
            "input": {"mark": mark},
            "metadata": {"mark": mark},
        },
    )
    job = until(fault_api, made.json()["id"])
    wait_until(lambda: not fault_stack.failpoint.exists(), what="the failpoint was met")
    assert job["status"] == "COMPLETED", job
    assert job["output"] == {"image": "output:image.png"}
    assert len(job["outputs"]) == 1
    runs = len(endpoint.journal(mark))
    assert runs == 1 or job["may_have_run_twice"]
