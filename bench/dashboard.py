"""The operator's dashboard with a million jobs and 90 days of samples, over HTTP.

Baseline: the same plot of ended jobs counted from the jobs themselves, which is what a
dashboard without totals would ask. Needs BENCH_DATABASE_URL (PostgreSQL).

    python -m bench dashboard [jobs]
"""

import statistics
import time

import httpx
import psycopg

from bench.stage import fake_runpod, signed_in, slipway
from tests.stack.stack import RunningStack

RANGES = ("24h", "7d", "30d", "90d")
LOOKS = 15
ENDPOINTS = """
INSERT INTO jobs_endpoint (slug, title, description, kind, contract, is_active, runpod_id,
  api_base, key_name, queue, worker_key_version, runner, input_schema, example_input,
  config, remote, observed, diagnosis, max_attempts, on_unknown, proof_seconds, max_workers,
  worker_concurrency, release_window, execution_timeout_seconds, not_found_count,
  created_at, sampled_at)
SELECT 'many-' || n, 'Many ' || n, '', 'runpod', 'plain', false, '', '', '', '', 1, '',
  '{}', '{}', '{}', '{"gpu_ids": ["ADA_24"]}', '{}', '{}', 3, 'resubmit', 600, 3, 1, 0,
  3600, 0, now(), now()
FROM generate_series(1, 5) n
"""
JOBS = """
INSERT INTO jobs_job (id, status, reason, priority, input, metadata, webhook_url,
  webhook_events, error_code, error_message, error_signature, is_error_retryable,
  attempt_no, turn, takes, progress, progress_seq, revision, is_replaced,
  has_maybe_run_twice, not_found_count, moved_at, created_at, started_at, finished_at,
  is_kept, owner_id, endpoint_id, cost, costed_at)
SELECT gen_random_uuid(),
  CASE WHEN n %% 25 = 0 THEN 'FAILED' WHEN n %% 60 = 0 THEN 'CANCELLED' ELSE 'COMPLETED' END,
  '', 1, '{"url": "x"}', '{}', '', '[]', '', CASE WHEN n %% 25 = 0 THEN
  'CUDA error ' || n ELSE '' END, CASE WHEN n %% 25 = 0 THEN 'CUDA error <' || n %% 8 || '>'
  ELSE '' END, false, 1, 0, 0, '{}', 0, 0, false, false, 0, at, at - interval '40 s',
  at - interval '30 s', at, false, u.id, e.id, 0.0093, at
FROM (SELECT n, now() - random() * interval '90 days' AS at
      FROM generate_series(1, %(jobs)s) n) told
JOIN (SELECT id, row_number() OVER (ORDER BY id) AS place FROM jobs_endpoint
      WHERE slug LIKE 'many-%%') e ON e.place = n %% 5 + 1
CROSS JOIN (SELECT min(id) AS id FROM auth_user) u
"""
SAMPLES = """
INSERT INTO jobs_healthsample (endpoint_id, taken_at, idle, initializing, ready, running,
  throttled, unhealthy, in_queue, in_progress, completed, failed)
SELECT e.id, at, 1, 0, 1, (random() * 3)::int, 0, 0, (random() * 20)::int, 2, 0, 0
FROM jobs_endpoint e, (
  SELECT generate_series(now() - interval '90 days', now() - interval '2 days', '1 hour') at
  UNION ALL SELECT generate_series(now() - interval '2 days', now(), '20 s')) times
WHERE e.slug LIKE 'many-%'
"""
SPENDS = """
INSERT INTO jobs_spend (day, endpoint_id, user_id, api_key_id, jobs, seconds, amount)
SELECT finished_at::date, endpoint_id, owner_id, 0, count(*), 30 * count(*), sum(cost)
FROM jobs_job WHERE cost > 0 GROUP BY 1, 2, 3
"""
NAIVE = """
SELECT date_trunc('day', finished_at), status, count(*),
  percentile_cont(0.95) WITHIN GROUP (ORDER BY finished_at - started_at)
FROM jobs_job WHERE finished_at > now() - interval '90 days' GROUP BY 1, 2
"""


def main(*arguments: str) -> None:
    """Print how long the page takes for each range."""
    jobs = int(arguments[0]) if arguments else 1_000_000
    with fake_runpod() as fake, slipway(fake) as stack:
        print(f"filling in {jobs:,} jobs ...", flush=True)
        naive = _fill(stack, jobs)
        browser = signed_in(stack)
        print(f"{'range':8} {'p50 ms':>8} {'max ms':>8} {'counting jobs / page':>22}")
        for name in RANGES:
            times = [_look(browser, f"/admin/?range={name}") for _ in range(LOOKS)]
            middle = statistics.median(times)
            print(
                f"{name:8} {middle * 1000:8.0f} {max(times) * 1000:8.0f} "
                f"{naive / middle:22.1f}"
            )


def _fill(stack: RunningStack, jobs: int) -> float:
    """Fill the tables, count the hours as the product does; return the baseline."""
    with psycopg.connect(
        stack.environment["DATABASE_URL"], autocommit=True
    ) as database:
        database.execute(ENDPOINTS)
        database.execute(JOBS, {"jobs": jobs})
        database.execute(SAMPLES)
        database.execute(SPENDS)
        database.execute("VACUUM ANALYZE")
        began = time.monotonic()
        code = "from jobs.services.money import totals as t\nwhile t.count_hours() > 3: pass"
        stack.manage("shell", "-v", "0", "-c", code)
        print(f"hours counted in {time.monotonic() - began:.1f} s")
        database.execute("VACUUM ANALYZE")
        began = time.monotonic()
        database.execute(NAIVE)
        naive = time.monotonic() - began
        print(f"baseline, one plot counted from jobs: {naive * 1000:.0f} ms")
    return naive


def _look(browser: httpx.Client, path: str) -> float:
    began = time.monotonic()
    assert browser.get(path).status_code == 200
    return time.monotonic() - began
