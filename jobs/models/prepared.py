"""Queries that run a hundred times a second: compiled once, then only executed.

Django builds the SQL of a queryset again each time, which costs several times what the
database needs to answer. Here the queryset is built once, with sample values. A second
sample shows which SQL parameters depend on a value; each call then fills these in.

    by_name = Prepared(
        lambda name: Thing.objects.filter(name=name), name=("one", "another")
    )
    by_name.first(name="mine")
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.db.models.query import get_related_populators


@dataclass
class _Compiled:
    sql: str
    params: list[Any]
    places: dict[str, list[int]]
    compiler: Any
    converters: dict[int, Any]

    def params_for(self, values: dict[str, Any]) -> list[Any]:
        """Return the SQL parameters with `values` filled in."""
        params = list(self.params)
        for name, places in self.places.items():
            value = _adapted(values[name])
            for place in places:
                params[place] = value
        return params


class Prepared:
    """A queryset with named parameters, each given as two different samples."""

    def __init__(
        self, build: Callable[..., QuerySet[Any, Any]], **samples: tuple[Any, Any]
    ) -> None:
        self._build, self._samples = build, samples
        self._compiled: dict[str, _Compiled] = {}

    def first(self, **values: Any) -> Any:
        """Return the first row as a model instance, or None."""
        return next(iter(self.all(**values)), None)

    def all(self, **values: Any) -> Iterator[Any]:
        """Yield rows as model instances, with those that `select_related` names."""
        compiled = self._get()
        compiler, select = compiled.compiler, compiled.compiler.select
        info = compiler.klass_info
        fields = info["select_fields"]
        start, end = fields[0], fields[-1] + 1
        names = [column[0].target.attname for column in select[start:end]]
        related = get_related_populators(info, select, connection.alias)  # type: ignore[call-arg]
        for row in self._rows(compiled, values):
            instance = info["model"].from_db(connection.alias, names, row[start:end])
            for populator in related:
                populator.populate(row, instance)
            yield instance

    def values(self, **values: Any) -> list[Any]:
        """Return rows as sequences, for a `values_list` queryset."""
        return list(self._rows(self._get(), values))

    def count(self, **values: Any) -> int:
        """Return the number of rows; a queryset with a limit counts only up to it."""
        compiled = self._get()
        sql = f"SELECT COUNT(*) FROM ({compiled.sql}) AS counted"  # noqa: S608 - Django's
        ((number,),) = _fetch(sql, compiled.params_for(values))
        return int(number)

    def _rows(self, compiled: _Compiled, values: dict[str, Any]) -> Any:
        rows = _fetch(compiled.sql, compiled.params_for(values))
        return _converted(rows, compiled.converters)

    def _get(self) -> _Compiled:
        compiled = self._compiled.get(connection.vendor)
        if compiled is None:
            compiled = self._compiled[connection.vendor] = self._compile()
        return compiled

    def _compile(self) -> _Compiled:
        one = {name: samples[0] for name, samples in self._samples.items()}
        compiler, sql, params = _compile(self._build(**one))
        places = {}
        for name, samples in self._samples.items():
            _, _, others = _compile(self._build(**{**one, name: samples[1]}))
            pairs = enumerate(zip(params, others, strict=True))
            places[name] = [n for n, (a, b) in pairs if a != b]
        columns = [column[0] for column in compiler.select[: compiler.col_count]]
        converters = compiler.get_converters(columns)
        return _Compiled(sql, params, places, compiler, converters)


def _fetch(sql: str, params: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _compile(queryset: QuerySet[Any, Any]) -> tuple[Any, str, list[Any]]:
    compiler = queryset.query.get_compiler(connection=connection)
    sql, params = compiler.as_sql()
    compiler.col_count = compiler.col_count or len(compiler.select)
    return compiler, sql, list(params)


def _adapted(value: Any) -> Any:
    """Return a value in the form that the database expects."""
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


def _converted(rows: list[Any], converters: dict[int, Any]) -> Iterator[list[Any]]:
    for row in rows:
        converted = list(row)
        for place, (functions, column) in converters.items():
            for function in functions:
                converted[place] = function(converted[place], column, connection)
        yield converted
