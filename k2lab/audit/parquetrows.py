"""Parquet as records: a row group at a time, each row as the JSON text of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

from k2lab.audit.forms.base import decoded, encoded
from k2lab.errors import InputError

ROWS = 64
"""Read at a time: a row may be large."""

TEXTS_OF_JSON = ("{", "[")


def first_record(path: str) -> object:
    """The first row, decoded; raises :class:`InputError` where there is none."""
    for record in records_of_group(path, 0):
        return decoded(record)
    raise InputError(f"{path} has no rows")


def groups(path: str) -> list[int]:
    """How many rows each row group has; raises :class:`InputError` for what is no Parquet."""
    with _opened(path) as file:
        return [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]


def records_of_group(path: str, group: int) -> Iterator[bytes]:
    """The rows of a group, as JSON; a column whose text is JSON is that value."""
    with _opened(path) as file:
        if group >= file.num_row_groups:
            return
        try:
            for batch in file.iter_batches(batch_size=ROWS, row_groups=[group], use_threads=False):
                yield from (encoded({name: _plain(value) for name, value in row.items()}) for row in batch.to_pylist())
        except (pa.ArrowException, OSError) as why:
            raise InputError(f"{path} is damaged: {why}") from None


def values_of_group(path: str, group: int) -> Iterator[dict[str, object]]:
    """The rows of a group as they are, bytes as bytes."""
    with _opened(path) as file:
        try:
            for batch in file.iter_batches(batch_size=ROWS, row_groups=[group], use_threads=False):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as why:
            raise InputError(f"{path} is damaged: {why}") from None


def _opened(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as why:
        raise InputError(f"{path} cannot be read as Parquet: {str(why).splitlines()[0][:200]}") from None


def _plain(value: object) -> object:
    if isinstance(value, str) and value[:1] in TEXTS_OF_JSON:
        try:
            return decoded(value.encode("utf-8", "surrogatepass"))
        except ValueError:
            return value
    if isinstance(value, bytes):
        return _plain(value.decode("utf-8", "replace"))
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        pairs = value and all(isinstance(one, tuple) and len(one) == 2 for one in value)  # a map of Arrow's
        return {str(one[0]): _plain(one[1]) for one in value} if pairs else [_plain(one) for one in value]
    return value
