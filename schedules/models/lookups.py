"""Two ways to say `IN` that a database understands better than the usual one."""

from __future__ import annotations

import json
from typing import Any

from django.db.models.lookups import In


class OneOf(In):
    """`IN` with its words written out instead of bound: SQLite uses a partial index only when it can read them."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """Write the words, which are the ledger's own and never anybody's input."""
        column, params = self.process_lhs(compiler, connection)
        words = [str(word) for word in self.rhs]
        assert all(word.isidentifier() for word in words)
        listed = ", ".join(f"'{word}'" for word in words)
        return (f"{column} IN ({listed})" if len(words) > 1 else f"{column} = {listed}"), params


class AnyOf(In):
    """`IN` with one parameter, however many values there are.

    Finding the places of thousands of parameters takes longer than the query.
    """

    def get_prep_lookup(self) -> Any:
        """Take the values as they are."""
        return self.rhs

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """Compare with an array."""
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", (*params, list(self.rhs))

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """Compare with the items of a list in JSON, on SQLite."""
        column, params = self.process_lhs(compiler, connection)
        return f"{column} IN (SELECT value FROM json_each(%s))", (*params, json.dumps(list(self.rhs)))  # noqa: S608 # nosec B608 - the column is ours
