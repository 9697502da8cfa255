"""Add the new column to the copies of a Parquet file's schema in its key-value metadata.

Readers trust them: Spark does not show a column that its copy does not have, and Arrow ignores a
copy that has another number of columns.
"""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_reader import is_list, is_text
from tasks.manifests.parquet_schema import Insertion, UnsupportedError
from tasks.manifests.thrift_compact import Struct, structs

Path = Sequence[tuple[str, Insertion]]
"""A column's name and its position among the other columns. For a field of a struct, the name and
the position of the struct come first."""


def with_column(tree: Struct, path: Path, field: pa.Field) -> Struct:
    """Return a FileMetaData with a new column in each copy of the schema.

    Args:
        path: the position of the column.
        field: the column itself: lists of text, or a new struct that has such a field.

    Raises:
        UnsupportedError: a copy disagrees with the schema of the file.
    """
    edits: dict[bytes, Callable[[bytes, Path, pa.Field], bytes]] = {
        b"ARROW:schema": _in_arrow,
        b"org.apache.spark.sql.parquet.row.metadata": _in_spark,
        b"pandas": _in_pandas,
    }
    if ids.KEY_VALUES not in tree:
        return tree
    changed = []
    for pair in tree.structs(ids.KEY_VALUES):
        edit = edits.get(pair.binary(ids.KEY))
        if edit and ids.VALUE in pair:
            pair = pair.changed({ids.VALUE: edit(pair.binary(ids.VALUE), path, field)})
        changed.append(pair)
    return tree.changed({ids.KEY_VALUES: structs(changed)})


def _in_arrow(value: bytes, path: Path, field: pa.Field) -> bytes:
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value)))
        fields = _in_fields(list(schema), path, field)
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise UnsupportedError(f"its ARROW:schema cannot be changed ({error})") from error
    metadata = dict(schema.metadata or {})
    if b"pandas" in metadata:
        metadata[b"pandas"] = _in_pandas(metadata[b"pandas"], path, field)
    new = pa.schema(fields, metadata or None)
    return base64.b64encode(new.serialize().to_pybytes())


def _in_fields(fields: Sequence[pa.Field], path: Path, field: pa.Field) -> list[pa.Field]:
    (name, position), *rest = path
    if position.old is None:
        if len(fields) != position.index:
            raise UnsupportedError("it has other columns")
        return position.into(fields, field)
    old = fields[position.old]
    if old.name != name:
        raise UnsupportedError("it has other columns")
    if rest:
        if not pa.types.is_struct(old.type):
            raise UnsupportedError(f"its {name!r} is no struct")
        old = old.with_type(pa.struct(_in_fields(list(old.type), rest, field)))
    elif not (is_list(old.type) and is_text(old.type.value_type)):
        old = old.with_type(field.type)
    return position.into(fields, old)


def _in_spark(value: bytes, path: Path, field: pa.Field) -> bytes:
    schema = _json(value)
    if not isinstance(schema, dict) or not _add_to_spark(schema, path, field):
        return value  # Spark does not understand it either, and takes the schema of the file
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()


def _add_to_spark(struct: dict[str, Any], path: Path, field: pa.Field) -> bool:
    (name, _), *rest = path
    fields = struct.get("fields")
    if not isinstance(fields, list) or not all(isinstance(item, dict) for item in fields):
        return False
    old = next((item for item in fields if item.get("name") == name), None)
    if rest:
        kind = old.get("type") if old else None
        return isinstance(kind, dict) and _add_to_spark(kind, rest, field)
    new = _spark_field(field)
    if old is None:
        fields.append(new)
    else:
        old["type"] = new["type"]
    return True


def _spark_field(field: pa.Field) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": "array", "elementType": "string", "containsNull": True}
    if pa.types.is_struct(field.type):
        kind = {"type": "struct", "fields": [_spark_field(child) for child in field.type]}
    return {"name": field.name, "type": kind, "nullable": True, "metadata": {}}


def _in_pandas(value: bytes, path: Path, field: pa.Field) -> bytes:
    schema = _json(value)
    columns = schema.get("columns") if isinstance(schema, dict) else None
    if len(path) > 1 or not isinstance(columns, list):
        return value  # it says nothing of the fields of a struct
    name = path[0][0]
    for column in columns:
        if isinstance(column, dict) and column.get("field_name", column.get("name")) == name:
            break
    else:
        column = {"name": name, "field_name": name, "metadata": None}
        columns.append(column)
    kind = "object" if pa.types.is_struct(field.type) else "list[unicode]"
    column |= {"pandas_type": kind, "numpy_type": "object"}
    return json.dumps(schema).encode()


def _json(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None
