"""The database itself refuses to move a job that has ended.

SQLite drops triggers with every rebuilt table: a later migration that alters a field of
Job must run `guard` again at its end (a test looks).
"""

from typing import Any

from django.db import migrations

ENDED = "OLD.status IN ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT')"
MOVED = "NEW.status <> OLD.status"

SQLITE = [
    f"""
CREATE TRIGGER job_end_stays BEFORE UPDATE OF status ON jobs_job
WHEN {ENDED} AND {MOVED}
BEGIN SELECT RAISE(ABORT, 'an ended job does not move'); END;
""",
]
POSTGRESQL = [
    """
CREATE OR REPLACE FUNCTION job_end_stays() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'an ended job does not move' USING ERRCODE = 'check_violation'; END;
$$ LANGUAGE plpgsql;
""",
    f"""
CREATE TRIGGER job_end_stays BEFORE UPDATE OF status ON jobs_job
FOR EACH ROW WHEN ({ENDED} AND {MOVED}) EXECUTE FUNCTION job_end_stays();
""",
]


def guard(apps: Any, schema_editor: Any) -> None:
    """Create the trigger."""
    vendor = schema_editor.connection.vendor
    for statement in POSTGRESQL if vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement, params=None)


def unguard(apps: Any, schema_editor: Any) -> None:
    """Drop it."""
    where = " ON jobs_job" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER job_end_stays{where}")


class Migration(migrations.Migration):
    """See the module."""

    dependencies = [("jobs", "0002_release_alerts")]
    operations = [migrations.RunPython(guard, unguard)]
