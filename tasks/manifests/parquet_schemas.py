"""The copies of a Parquet file's schema that writers keep in its key-value metadata.

Readers trust them: Spark does not show a column that its copy does not have, and Arrow ignores a
copy that has another number of columns.
"""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from tasks.manifests.parquet_footer import Insertion, UnsupportedError
from tasks.manifests.thrift_compact import Struct

KEY, VALUE = 1, 2  # of a KeyValue

Path = Sequence[tuple[str, Insertion]]
"""A column's name and its position among the other columns. For a field of a struct, the name and
the position of the struct come first."""


def with_column(pairs: Sequence[Struct], path: Path, field: pa.Field) -> list[Struct]:
    """The key-value metadata of a footer with a new column in each copy of the schema.

    Args:
        pairs: the KeyValues.
        path: where the column is.
        field: the column itself: lists of text, or a new struct that has such a field.

    Raises:
        UnsupportedError: a copy disagrees with the schema of the file.
    """
    edits: dict[bytes, Callable[[bytes, Path, pa.Field], bytes]] = {
        b"ARROW:schema": _in_arrow,
        b"org.apache.spark.sql.parquet.row.metadata": _in_spark,
        b"pandas": _in_pandas,
    }
    changed = []
    for pair in pairs:
        edit = edits.get(pair.binary(KEY))
        if edit and VALUE in pair:
            pair = pair.changed({VALUE: edit(pair.binary(VALUE), path, field)})
        changed.append(pair)
    return changed


def holds_text_lists(arrow_type: pa.DataType) -> bool:
    """Whether values of this type are lists of strings, of any width or encoding."""
    return is_list(arrow_type) and is_text(arrow_type.value_type)


def is_list(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type))


def is_text(arrow_type: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    return bool(
        types.is_string(arrow_type)
        or types.is_large_string(arrow_type)
        or types.is_string_view(arrow_type)
    )


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
    elif not holds_text_lists(old.type):
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
    kind = _spark_type(field.type)
    if old is None:
        fields.append({"name": name, "type": kind, "nullable": True, "metadata": {}})
    else:
        old["type"] = kind
    return True


def _spark_type(arrow_type: pa.DataType) -> dict[str, Any]:
    if not pa.types.is_struct(arrow_type):
        return {"type": "array", "elementType": "string", "containsNull": True}
    fields = [
        {"name": child.name, "type": _spark_type(child.type), "nullable": True, "metadata": {}}
        for child in arrow_type
    ]
    return {"type": "struct", "fields": fields}


def _in_pandas(value: bytes, path: Path, field: pa.Field) -> bytes:
    schema = _json(value)
    columns = schema.get("columns") if isinstance(schema, dict) else None
    if len(path) > 1 or not isinstance(columns, list):
        return value  # it says nothing of the fields of a struct
    name = path[0][0]
    kind = "object" if pa.types.is_struct(field.type) else "list[unicode]"
    entry = {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": "object",
             "metadata": None}  # fmt: skip
    for number, column in enumerate(columns):
        if isinstance(column, dict) and column.get("field_name", column.get("name")) == name:
            columns[number] = column | {"pandas_type": kind, "numpy_type": "object"}
            break
    else:
        columns.append(entry)
    return json.dumps(schema).encode()


def _json(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None
