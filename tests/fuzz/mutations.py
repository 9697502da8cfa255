"""Mutations of bytes: as media, archives and disks break, and as an attacker would."""

import struct
from collections.abc import Callable, Sequence
from random import Random

# Lengths and counts at which arithmetic goes wrong.
_EXTREMES = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF,
             0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip

Mutation = Callable[[bytearray, Random, Sequence[bytes]], None]  # in place


def mutated(
    data: bytes, chance: Random, others: Sequence[bytes], more: Sequence[Mutation] = ()
) -> bytes:
    """``data`` after one mutation, or a few; never empty.

    Args:
        others: whose parts are spliced in.
        more: mutations that know the format, as likely as all general ones together.
    """
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        pool = more if more and chance.random() < 0.5 else GENERAL
        chance.choice(pool)(mutant, chance, others)
        if not mutant:
            mutant += data[:1]
    return bytes(mutant)


def flip_bits(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    for _ in range(chance.choice((1, 4, 16, 64))):
        data[_offset(data, chance)] ^= 1 << chance.randrange(8)


def overwrite_block(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    """With zeros (a hole in a file), ones, or noise."""
    start, end = _block(data, chance)
    size = end - start
    data[start:end] = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))


def cut_end(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    del data[_offset(data, chance) + 1 :]


def cut_start(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    del data[: _offset(data, chance)]


def cut_out(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    start, end = _block(data, chance)
    del data[start:end]


def repeat_block(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    start, end = _block(data, chance)
    data[start:start] = data[start:end] * chance.choice((1, 1, 2, 9))


def swap_blocks(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    one, other = sorted((_offset(data, chance), _offset(data, chance)))
    size = min(chance.choice((4, 64, 1024)), other - one)
    data[one : one + size], data[other : other + size] = (
        data[other : other + size],
        data[one : one + size],
    )


def splice(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    """A part of another file over this one, into it, or behind it."""
    other = bytearray(chance.choice(others))
    start, end = _block(other, chance)
    offset = chance.choice((_offset(data, chance), len(data)))
    replaced = chance.choice((0, end - start))
    data[offset : offset + replaced] = other[start:end]


def set_number(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    """An extreme, or a neighbour of what it was, where a length may stand."""
    form = chance.choice((">B", ">H", "<H", ">I", "<I", ">Q", "<Q"))
    width = struct.calcsize(form)
    # Half of them in the first kilobyte, where headers are.
    region = min(len(data), 1024) if chance.random() < 0.5 else len(data)
    offset = chance.randrange(region)
    (value,) = struct.unpack(form, bytes(data[offset : offset + width]).ljust(width, b"\0"))
    value = chance.choice((*_EXTREMES, value + 1, value - 1, value * 2, value // 2))
    data[offset : offset + width] = struct.pack(form, value % (1 << 8 * width))


def _offset(data: bytearray, chance: Random) -> int:
    return chance.randrange(len(data))


def _block(data: bytearray, chance: Random) -> tuple[int, int]:
    start = _offset(data, chance)
    return start, min(len(data), start + int(2 ** chance.uniform(0, 14)))


GENERAL: tuple[Mutation, ...] = (
    flip_bits,
    overwrite_block,
    cut_end,
    cut_start,
    cut_out,
    repeat_block,
    swap_blocks,
    splice,
    set_number,
    set_number,
)
