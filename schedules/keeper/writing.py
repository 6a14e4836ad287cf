"""Writing many rows at once, at the least cost that each database allows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connections, models, transaction

from schedules.keeper.rows import COLUMNS, Row
from schedules.models import Run, Schedule

CHUNK = 500


def write_rows(rows: Iterable[Row], *, using: str) -> None:
    """Insert the new ones, update the changed columns of the others."""
    fresh: list[Row] = []
    changed: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.pk is None:
            fresh.append(row)
        elif row.changed:
            changed[tuple(sorted(row.changed))].append(row)
    _insert(fresh, using)
    for columns, group in changed.items():
        update_many(
            Run, columns, [([row.values[name] for name in columns], row.pk) for row in group], using=using
        )


def _insert(rows: Sequence[Row], using: str) -> None:
    if not rows:
        return
    connection = connections[using]
    quote = connection.ops.quote_name
    fields = [_field(Run, name) for name in COLUMNS]
    names = ", ".join(quote(str(field.column)) for field in fields)
    head = f"INSERT INTO {quote(Run._meta.db_table)} ({names}) "
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for start in range(0, len(rows), CHUNK):
                lines = [row.values for row in rows[start : start + CHUNK]]
                lines = [{f.column: line[f.attname] for f in fields} for line in lines]
                source = _recordset(fields, connection)
                cursor.execute(f"{head}SELECT {names} FROM {source}", [_json(lines)])  # noqa: S608 # nosec B608
            return
        holders = ", ".join(["%s"] * len(fields))
        encode = [(field.attname, _encoder(field, connection)) for field in fields]
        # One prepared statement, run many times.
        cursor.executemany(
            f"{head}VALUES ({holders})",
            [[e(row.values[name]) for name, e in encode] for row in rows],
        )


def update_many(
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[tuple[Sequence[Any], Any]],
    *,
    using: str,
) -> None:
    """Set columns of many rows, each to values of its own, given as (values, primary key)."""
    if not rows:
        return
    connection = connections[using]
    quote = connection.ops.quote_name
    fields = [_field(model, name) for name in columns]
    key = model._meta.pk
    assert key is not None
    table, key_name = quote(model._meta.db_table), quote(str(key.column))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            sets = ", ".join(f"{quote(field.column)} = v.{quote(field.column)}" for field in fields)
            source = _recordset([key, *fields], connection)
            names = [key.column, *(field.column for field in fields)]
            for start in range(0, len(rows), CHUNK):
                lines = [
                    dict(zip(names, (pk, *values), strict=True)) for values, pk in rows[start : start + CHUNK]
                ]
                cursor.execute(
                    f"UPDATE {table} SET {sets} FROM {source} WHERE {table}.{key_name} = v.{key_name}",  # noqa: S608 # nosec B608
                    [_json(lines)],
                )
            return
        sets = ", ".join(f"{quote(field.column)} = %s" for field in fields)
        encode = [_encoder(field, connection) for field in fields]
        encode_key = _encoder(key, connection)
        # Else each of them would be a transaction of its own.
        with transaction.atomic(using=using, savepoint=False):
            cursor.executemany(
                f"UPDATE {table} SET {sets} WHERE {key_name} = %s",  # noqa: S608 # nosec B608 - names of our own
                [
                    [*(e(v) for e, v in zip(encode, values, strict=True)), encode_key(pk)]
                    for values, pk in rows
                ],
            )


def _recordset(fields: Sequence[Any], connection: Any) -> str:
    """Return PostgreSQL's view on a list of objects in JSON as rows: one parameter, however many there are.

    A parameter for each value costs ten times as much, nearly all of it in finding the places of the parameters.
    """
    quote = connection.ops.quote_name
    types = ", ".join(f"{quote(field.column)} {_type(field, connection)}" for field in fields)
    return f"json_to_recordset(%s::json) AS v ({types})"


def _type(field: Any, connection: Any) -> str:
    return str(field.rel_db_type(connection) if field.primary_key else field.db_type(connection))


def _json(lines: Sequence[Any]) -> str:
    return json.dumps(lines, default=str, separators=(",", ":"))


def _field(model: type[models.Model], attname: str) -> Any:
    return next(field for field in model._meta.concrete_fields if field.attname == attname)


def _encoder(field: Any, connection: Any) -> Any:
    """Return what turns a Python value into the database's; texts and numbers pass as they are."""
    if isinstance(field, models.CharField | models.TextField | models.FloatField | models.IntegerField):
        return _same
    if isinstance(field, models.DateTimeField):
        if connection.vendor == "postgresql":
            return _same
        if connection.vendor == "sqlite" and connection.timezone is UTC:
            return _text_of  # what Django does, without asking the settings for each value
    if isinstance(field, models.UUIDField) and not connection.features.has_native_uuid_field:
        return _hex_of
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    return lambda value: (
        None if value is None else target.get_db_prep_value(value, connection, prepared=False)
    )


def _text_of(value: datetime | None) -> str | None:
    return None if value is None else str(value.astimezone(UTC).replace(tzinfo=None))


def _hex_of(value: UUID | None) -> str | None:
    return None if value is None else value.hex


def _same(value: Any) -> Any:
    return value


def forget_deleted(schedules: Iterable[UUID], *, using: str) -> None:
    """Unlink runs from those of the schedules that are gone.

    Deleting a schedule unlinks its runs, but not one that is being written at that very moment.
    """
    wanted = list(schedules)
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        there = set(Schedule.objects.using(using).filter(pk__in=chunk).values_list("pk", flat=True))
        gone = [pk for pk in chunk if pk not in there]
        if gone:
            Run.objects.using(using).filter(schedule_id__in=gone).update(schedule=None)
