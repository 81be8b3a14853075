"""How large a JSON value is, without sending it to us."""

from typing import Any

from django.db.models import BigIntegerField, Func

AT_MOST = 64 * 1024


class TextBytes(Func):
    """The bytes of a JSON column as text; NULL where it is far larger than AT_MOST.

    PostgreSQL keeps large values compressed. What is large even so is not unpacked.
    """

    template = "LENGTH(CAST(%(expressions)s AS BLOB))"
    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """Look at the size on disk first (functions-admin, Database Object Size)."""
        template = (
            f"CASE WHEN pg_column_size(%(expressions)s) <= {AT_MOST} "
            "THEN octet_length((%(expressions)s)::text) END"
        )
        return self.as_sql(compiler, connection, template=template)
