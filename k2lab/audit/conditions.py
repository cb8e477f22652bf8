"""Conditions on exchanges: a little of SQL's WHERE, parsed by sqlglot and turned into an expression of Arrow's."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import expressions as sql

from k2lab.errors import InputError

COLUMNS = ("model", "vendor", "day", "at", "source", "row", "item", "form")
"""What a condition may ask of an exchange."""

COMPARED: dict[type[sql.Expression], Callable[[Any, Any], Any]] = {
    sql.EQ: operator.eq,
    sql.NEQ: operator.ne,
    sql.LT: operator.lt,
    sql.LTE: operator.le,
    sql.GT: operator.gt,
    sql.GTE: operator.ge,
}


def expression(text: str) -> pc.Expression:
    """A condition as an expression that filters a table of exchanges.

    It compares columns with values by ``= != < <= > >=``, ``IN``, ``BETWEEN`` and
    ``LIKE``, joined by ``AND``, ``OR`` and ``NOT``. Raises :class:`InputError` with
    what of it cannot be taken.

    >>> expression("model = 'kimi-k2' and day >= '2026-11-01'")
    <pyarrow.compute.Expression ((model == "kimi-k2") and (day >= "2026-11-01"))>
    """
    try:
        tree = sqlglot.parse_one(text)
    except (sqlglot.ParseError, sqlglot.errors.TokenError, RecursionError) as why:
        told = str(why).splitlines()[0].partition(". Line")[0]
        raise InputError(f"--where {text[:80]!r} cannot be read: {told[:120]}; as in: {_example()}") from None
    try:
        return _of(tree)
    except RecursionError:
        raise InputError("--where is nested too deep") from None


def _of(node: Any) -> Any:
    if isinstance(node, sql.Paren):
        return _of(node.this)
    if isinstance(node, sql.And | sql.Or):
        left, right = _of(node.left), _of(node.right)
        return left & right if isinstance(node, sql.And) else left | right
    if isinstance(node, sql.Not):
        return ~_of(node.this)
    if type(node) in COMPARED:
        name = _column(node.left)
        return COMPARED[type(node)](pc.field(name), _value(name, node.right))
    if isinstance(node, sql.In) and node.expressions:
        name = _column(node.this)
        return pc.field(name).isin([_value(name, one) for one in node.expressions])
    if isinstance(node, sql.Between):
        name = _column(node.this)
        low, high = (_value(name, node.args[end]) for end in ("low", "high"))
        return (pc.field(name) >= low) & (pc.field(name) <= high)
    if isinstance(node, sql.Like):
        name = _column(node.this)
        return pc.match_like(pc.field(name), _value(name, node.expression))
    raise _refused(node)


def _column(node: Any) -> str:
    if isinstance(node, sql.Column) and not node.table and node.name.lower() in COLUMNS:
        return node.name.lower()
    said = node.sql() if hasattr(node, "sql") else node
    raise InputError(f"--where asks for {str(said)[:80]!r}: an exchange has {', '.join(COLUMNS)}; as in: {_example()}")


def _value(name: str, node: Any) -> Any:
    if not isinstance(node, sql.Literal):
        raise _refused(node)
    if name == "row":
        if node.is_string or not node.name.isdecimal():
            raise InputError(f"--where compares row with {node.sql()[:60]}, which is no whole number")
        return int(node.name)
    if not node.is_string:
        raise InputError(f"--where compares {name} with {node.sql()[:60]}: write a text in single quotes")
    if name != "at":
        return str(node.name)
    try:
        time = datetime.fromisoformat(node.name)
    except ValueError:
        raise InputError(
            f"--where compares at with {node.name[:60]!r}, which is no time: '2026-11-26T12:00:00Z'"
        ) from None
    return pa.scalar(time if time.tzinfo else time.replace(tzinfo=UTC), pa.timestamp("us", "UTC"))


def _refused(node: Any) -> InputError:
    said = node.sql() if hasattr(node, "sql") else node
    return InputError(f"--where cannot take {str(said)[:80]!r}: it compares columns with values; as in: {_example()}")


def _example() -> str:
    return "model = 'kimi-k2' and day >= '2026-11-01'"
