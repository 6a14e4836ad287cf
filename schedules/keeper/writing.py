"""Writing many rows at once, at the least cost that each database allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connections, models

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
    head = f"INSERT INTO {quote(Run._meta.db_table)} ({names}) VALUES "  # noqa: S608 # nosec B608 - names of our own
    holder = f"({', '.join(['%s'] * len(fields))})"
    encode = [(name, _encoder(field, connection)) for name, field in zip(COLUMNS, fields, strict=True)]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # One prepared statement, run many times.
            cursor.executemany(head + holder, [[e(row.values[n]) for n, e in encode] for row in rows])
            return
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            values = [e(row.values[n]) for row in chunk for n, e in encode]
            cursor.execute(head + ", ".join([holder] * len(chunk)), values)


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
    encode = [_encoder(field, connection) for field in fields]
    encode_key = _encoder(key, connection)
    table = quote(model._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            sets = ", ".join(f"{quote(field.column)} = %s" for field in fields)
            cursor.executemany(
                f"UPDATE {table} SET {sets} WHERE {quote(str(key.column))} = %s",  # noqa: S608 # nosec B608 - names of our own
                [
                    [*(e(v) for e, v in zip(encode, values, strict=True)), encode_key(pk)]
                    for values, pk in rows
                ],
            )
            return
        sets = ", ".join(f"{quote(field.column)} = v.{quote(field.column)}" for field in fields)
        names = ", ".join(quote(str(field.column)) for field in [key, *fields])
        # Types are told by the first line; the others follow it.
        types = [field.db_type(connection) for field in [key, *fields]]
        types[0] = key.rel_db_type(connection)
        first = f"({', '.join(f'%s::{kind}' for kind in types)})"
        other = f"({', '.join(['%s'] * len(types))})"
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            lines = ", ".join([first, *[other] * (len(chunk) - 1)])
            parameters: list[Any] = []
            for values, pk in chunk:
                parameters.append(encode_key(pk))
                parameters.extend(e(v) for e, v in zip(encode, values, strict=True))
            cursor.execute(
                f"UPDATE {table} SET {sets} FROM (VALUES {lines}) AS v ({names}) "  # noqa: S608 # nosec B608
                f"WHERE {table}.{quote(str(key.column))} = v.{quote(str(key.column))}",
                parameters,
            )


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
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    return lambda value: (
        None if value is None else target.get_db_prep_value(value, connection, prepared=False)
    )


def _text_of(value: datetime | None) -> str | None:
    return None if value is None else str(value.astimezone(UTC).replace(tzinfo=None))


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
