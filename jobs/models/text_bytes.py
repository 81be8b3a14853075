"""The size of a JSON value, measured in the database."""

from typing import Any

from django.db.models import BigIntegerField, Func

AT_MOST = 64 * 1024


class TextBytes(Func):
    """The bytes of a JSON column as text; NULL if it is far larger than AT_MOST.

    PostgreSQL stores large values compressed. A value that is still large then is not
    decompressed.
    """

    template = "LENGTH(CAST(%(expressions)s AS BLOB))"
    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """Check the size on disk first (functions-admin, Database Object Size)."""
        template = (
            f"CASE WHEN pg_column_size(%(expressions)s) <= {AT_MOST} "
            "THEN octet_length((%(expressions)s)::text) END"
        )
        return self.as_sql(compiler, connection, template=template)
