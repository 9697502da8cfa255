"""Add the written columns to the copies of a Parquet file's schema in its key-value metadata.

Readers trust them: Spark does not show a column that its copy lacks, and Arrow ignores a copy with
another number of columns.
"""

import base64
import json
from collections.abc import Callable, Sequence

import pyarrow as pa

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_layout import Layout
from tasks.manifests.parquet_schema import UnsupportedError
from tasks.manifests.parquet_types import fits, is_list, is_text
from tasks.manifests.thrift_compact import Struct, structs


def with_columns(tree: Struct, layout: Layout) -> Struct:
    """Return a FileMetaData with the written columns in each copy of the schema.

    Raises:
        UnsupportedError: a copy disagrees with the schema of the file.
    """
    edits: dict[bytes, Callable[[bytes, Layout], bytes]] = {
        b"ARROW:schema": _edit_arrow,
        b"org.apache.spark.sql.parquet.row.metadata": _edit_spark,
        b"pandas": _edit_pandas,
    }
    if ids.KEY_VALUES not in tree:
        return tree
    changed = []
    for pair in tree.structs(ids.KEY_VALUES):
        edit = edits.get(pair.binary(ids.KEY))
        if edit and ids.VALUE in pair:
            pair = pair.changed({ids.VALUE: edit(pair.binary(ids.VALUE), layout)})
        changed.append(pair)
    return tree.changed({ids.KEY_VALUES: structs(changed)})


def _edit_arrow(value: bytes, layout: Layout) -> bytes:
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value)))
        fields = _edit_fields(list(schema), layout)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnsupportedError(f"its ARROW:schema cannot be changed ({error})") from error
    metadata = dict(schema.metadata or {})
    if b"pandas" in metadata:
        metadata[b"pandas"] = _edit_pandas(metadata[b"pandas"], layout)
    new = pa.schema(fields, metadata or None)
    return base64.b64encode(new.serialize().to_pybytes())


def _edit_fields(top: list[pa.Field], layout: Layout) -> list[pa.Field]:
    group = layout.group
    if len(top) != len(group.root.children):
        raise UnsupportedError("it has other columns")
    if group.meta is None:
        return _ordered(top, layout)
    if group.index is None:
        return [*top, layout.new_struct()]
    struct = top[group.index]
    if struct.name != group.meta or not pa.types.is_struct(struct.type):
        raise UnsupportedError(f"it has no struct {group.meta!r}")
    top[group.index] = struct.with_type(pa.struct(_ordered([*struct.type], layout)))
    return top


def _ordered(fields: Sequence[pa.Field], layout: Layout) -> list[pa.Field]:
    """Return the fields of the new group in the order of the new schema."""
    if len(fields) != len(layout.group.children):
        raise UnsupportedError("it has other columns")
    ordered: list[pa.Field] = []
    for child in layout.order:
        if isinstance(child, int):
            ordered.append(fields[child])
        elif child.index is None:
            ordered.append(child.field)
        else:
            old, arrow_type = fields[child.index], child.field.type
            if old.name != child.name:
                raise UnsupportedError("it has other columns")
            # The old type stays if it can hold the new values.
            ordered.append(old if fits(old.type, arrow_type) else old.with_type(arrow_type))
    return ordered


def _edit_spark(value: bytes, layout: Layout) -> bytes:
    schema = _json(value)
    fields = _spark_fields(schema)
    if layout.group.meta is not None and layout.group.index is not None:
        struct = next((item for item in fields if item.get("name") == layout.group.meta), {})
        fields = _spark_fields(struct.get("type"))
    if not fields:
        return value  # Spark does not understand it either, and takes the schema of the file
    for field in layout.new_fields():
        new = _spark_field(field)
        old = next((item for item in fields if item.get("name") == field.name), None)
        if old is None:
            fields.append(new)
        else:
            old["type"] = new["type"]
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()


def _spark_fields(struct: object) -> list[dict[str, object]]:
    """Return the list of a struct's fields itself, to be edited; [] if this is no struct."""
    fields = struct.get("fields") if isinstance(struct, dict) else None
    if not isinstance(fields, list) or not all(isinstance(item, dict) for item in fields):
        return []
    return fields


def _spark_field(field: pa.Field) -> dict[str, object]:
    return {"name": field.name, "type": _spark_type(field.type), "nullable": True, "metadata": {}}


def _spark_type(arrow_type: pa.DataType) -> str | dict[str, object]:
    if is_list(arrow_type):
        item = _spark_type(arrow_type.value_type)
        return {"type": "array", "elementType": item, "containsNull": True}
    if pa.types.is_struct(arrow_type):
        return {"type": "struct", "fields": [_spark_field(field) for field in arrow_type]}
    return "string" if is_text(arrow_type) else "double"


def _edit_pandas(value: bytes, layout: Layout) -> bytes:
    schema = _json(value)
    columns = schema.get("columns") if isinstance(schema, dict) else None
    if layout.group.index is not None or not isinstance(columns, list):
        return value  # it does not list the fields of a struct
    for field in layout.new_fields():
        for column in columns:
            named = isinstance(column, dict) and column.get("field_name", column.get("name"))
            if named == field.name:
                break
        else:
            column = {"name": field.name, "field_name": field.name, "metadata": None}
            columns.append(column)
        column |= {"pandas_type": _pandas_type(field.type), "numpy_type": "object"}
    return json.dumps(schema).encode()


def _pandas_type(arrow_type: pa.DataType) -> str:
    if is_list(arrow_type):
        return f"list[{_pandas_type(arrow_type.value_type)}]"
    return "unicode" if is_text(arrow_type) else "object"


def _json(value: bytes) -> object:
    try:
        decoded: object = json.loads(value)
    except ValueError:
        return None
    return decoded
