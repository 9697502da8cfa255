"""Any tree comes back as it was; any bytes are read or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.manifests import thrift_compact as thrift
from tasks.manifests.thrift_compact import Field, Items, MalformedError, Pairs, Struct, Value

INTEGERS = st.integers(-(2**63), 2**63 - 1)
LEAVES: dict[int, st.SearchStrategy[Value]] = {
    thrift.I16: INTEGERS, thrift.I32: INTEGERS, thrift.I64: INTEGERS,
    thrift.BYTE: st.binary(min_size=1, max_size=1),
    thrift.DOUBLE: st.binary(min_size=8, max_size=8),
    thrift.UUID: st.binary(min_size=16, max_size=16),
    thrift.BINARY: st.binary(max_size=20),
}  # fmt: skip
BOOLEANS = st.sampled_from([thrift.TRUE, thrift.FALSE])


@st.composite
def fields(draw: st.DrawFn, depth: int = 0) -> Field:
    kinds = [*LEAVES, *([thrift.LIST, thrift.MAP, thrift.STRUCT] if depth < 3 else [])]
    kind = draw(st.sampled_from(kinds) | BOOLEANS)
    if kind in (thrift.TRUE, thrift.FALSE):
        return Field(kind, 0)
    if kind in LEAVES:
        return Field(kind, draw(LEAVES[kind]))
    if kind == thrift.STRUCT:
        return Field(kind, draw(trees(depth + 1)))
    if kind == thrift.MAP:
        keys = draw(st.lists(LEAVES[thrift.BINARY], max_size=3))
        pairs: list[tuple[Value, Value]] = [(key, draw(INTEGERS)) for key in keys]
        return Field(kind, Pairs(thrift.BINARY << 4 | thrift.I64 if pairs else 0, pairs))
    item = draw(fields(depth + 1).filter(lambda field: field.type not in (1, 2)))
    return Field(kind, Items(item.type, [item.value] * draw(st.integers(0, 20))))


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> Struct:
    return Struct(draw(st.dictionaries(st.integers(1, 2000), fields(depth), max_size=4)))


@given(trees())
def test_a_tree_comes_back(tree: Struct) -> None:
    data = thrift.encode(tree)
    assert thrift.decode(data) == (tree, len(data))
    assert thrift.encode(thrift.decode(data)[0]) == data


@given(trees(), st.binary(max_size=5))
def test_what_follows_is_not_read(tree: Struct, more: bytes) -> None:
    data = thrift.encode(tree)
    assert thrift.decode(data + more)[1] == len(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        tree, used = thrift.decode(data)
    except MalformedError:
        return
    assert used <= len(data)
    assert thrift.decode(thrift.encode(tree))[0] == tree


@given(trees())
def test_a_part_of_a_tree_is_refused(tree: Struct) -> None:
    data = thrift.encode(tree)
    for size in range(len(data)):
        with pytest.raises(MalformedError):
            thrift.decode(data[:size])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x19\xf5\xff\xff\xff\xff\x0f", id="a list that is longer than the file"),
        pytest.param(b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="a string that is"),
        pytest.param(b"\x1c" * 100_000, id="structures in structures"),
        pytest.param(b"\x19\x19" * 100_000, id="lists in lists"),
        pytest.param(b"\x16" + b"\xff" * 20, id="a number of 140 bits"),
        pytest.param(b"\x1e\x00", id="an unknown type"),
    ],
)
def test_counts_that_lie_cost_nothing(data: bytes) -> None:
    with pytest.raises(MalformedError):
        thrift.decode(data)


def test_getters_refuse_what_is_missing_or_of_another_type() -> None:
    struct = Struct({1: Field(thrift.I32, 7), 2: Field(thrift.BINARY, b"x")})
    assert (struct.integer(1), struct.integer(3, 5), struct.binary(2)) == (7, 5, b"x")
    for get in (struct.binary, struct.struct, struct.structs):
        with pytest.raises(MalformedError, match="field 1"):
            get(1)
    with pytest.raises(MalformedError, match="field 3 is missing"):
        struct.integer(3)
