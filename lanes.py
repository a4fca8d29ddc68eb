"""A row in one integer: the ground floor of the packed engine.

A row (v0, v1, ..., v127) of whole numbers is kept as the one integer

    N = v0 + v1 2^32 + v2 2^64 + ... = sum_j v_j 2^(32 j),

each v_j having a lane of 32 bits to itself.  Then one big-integer operation of Python
works on all lanes at once:

    rows added        N + M            number times row      k * N
    and so            sum(map(mul, numbers, rows))  is 128 dot products in one line.

A negative v_j borrows from the lane above, which does no harm: as an integer the sum
is exact, and adding BIAS = sum_j 2^(31 + 32 j) makes every lane non-negative, so that
it can be read.  All that must not happen is that some |v_j| reaches 2^31.

The idea is Kronecker's substitution; compare Dumas, Fousse and Salvy, "Compressed
modular matrix multiplication" (arXiv 0803.1975).
"""
from __future__ import annotations

import struct
from array import array
from functools import lru_cache
from itertools import repeat
from typing import Iterable, Sequence

NARROW, WIDE = 32, 64       # bits of a lane: weights and sums; products of two of them


class LaneOverflowError(ArithmeticError):
    """A number that has outgrown its lane, or might have."""


class Lanes:
    """The layout of `count` lanes of `bits` bits, and the operations on such integers.

    Four constants do everything.  ONES has a 1 at the foot of each lane, so that
    k * ONES is the row (k, k, ..., k); BIAS = 2^(bits - 1) * ONES makes signed lanes
    non-negative ("biased"), and flipping BIAS's bits turns biased lanes into two's
    complement, which `struct` reads.
    """

    def __init__(self, count: int, bits: int) -> None:
        self.count, self.bits = count, bits
        self.ones = ((1 << count * bits) - 1) // ((1 << bits) - 1)
        self.bias = self.ones << bits - 1
        self.struct = struct.Struct(f"<{count}{'i' if bits == NARROW else 'q'}")

    def encode(self, values: Sequence[int]) -> int:
        """The integer with these lanes, the first in the lowest bits.

        >>> hex(Lanes(3, 32).encode([1, 2, 3]))
        '0x30000000200000001'
        """
        try:
            raw = self.struct.pack(*values)
        except struct.error:
            raise LaneOverflowError(
                f"a number of {max(map(abs, values)):,} in a lane of {self.bits} bits"
            ) from None
        return self.from_raw(raw)

    def from_raw(self, raw: bytes) -> int:
        """The integer whose lanes are these little-endian two's-complement numbers."""
        return (int.from_bytes(raw, "little") ^ self.bias) - self.bias

    def decode(self, row: int) -> tuple[int, ...]:
        """The lanes of an integer.

        >>> lanes = Lanes(3, 32)
        >>> lanes.decode(lanes.encode([5, -7, 0]) * 10 + lanes.ones)
        (51, -69, 1)
        """
        biased = row + self.bias
        return self.struct.unpack(
            (biased ^ self.bias).to_bytes(self.struct.size, "little"))

    def signs(self, row: int) -> int:
        """1 in each lane that is >= 0, else 0: the top bit of the biased lane."""
        return row + self.bias >> self.bits - 1 & self.ones

    def keep(self, row: int, signs: int) -> int:
        """The lanes whose sign bit is 1, and 0 elsewhere.

        (s << bits) - s is a lane of all ones where s is 1: a mask for biased lanes.
        """
        mask = (signs << self.bits) - signs
        return (row + self.bias & mask) - (signs << self.bits - 1)

    def shift_right(self, row: int, by: int) -> int:
        """Each lane divided by 2^by and rounded: floor(v / 2^by + 1/2).

        Shifting the integer lets bits of one lane fall into the next; the mask wipes
        them off.

        >>> lanes = Lanes(3, 32)
        >>> lanes.decode(lanes.shift_right(lanes.encode([9, -9, 6]), 2))
        (2, -2, 2)
        """
        if by <= 0:
            return row << -by
        if by >= self.bits:
            return 0
        low, bias = self._after_shift(by)
        biased = row + self.bias
        # The highest bit that is lost says whether to round up.  Adding 1/2 first would
        # carry the largest numbers into the next lane.
        return (biased >> by & low) + (biased >> by - 1 & self.ones) - bias

    @lru_cache(maxsize=256)
    def _after_shift(self, by: int) -> tuple[int, int]:
        """What a shift leaves of each lane: a mask of its bits, and the bias."""
        left = self.bits - by
        return (self.ones << left) - self.ones, self.ones << left - 1

    def measure(self, rows: Iterable[int]) -> int:
        """A power of two that no |lane| exceeds, the least but for whole powers.

        In two's complement all bits above those of the magnitude are copies of the
        sign, so v ^ (v >> 1) has its highest one where the magnitude has.  The lane
        above spoils nothing but the top bit of that.
        """
        seen, bias, lanes = 0, self.bias, self.count
        for row in rows:
            twos = row + bias ^ bias
            seen |= twos ^ twos >> 1
        while lanes > 1:            # the upper half onto the lower
            lanes = (lanes + 1) // 2
            seen |= seen >> lanes * self.bits
        return 1 << (seen & (1 << self.bits - 1) - 1).bit_length()

    def flip(self, rows: Sequence[int], bits: int) -> list[int]:
        """The columns of these rows, each as one integer of lanes of so many bits.

        The biased lanes are moved as they are, a whole row at a time, to every
        `len(rows)`-th place of a table; a bias is taken off each column in the end.

        >>> lanes = Lanes(3, 32)
        >>> rows = [lanes.encode([1, -2, 3]), lanes.encode([4, 5, -6])]
        >>> [Lanes(2, 64).decode(column) for column in lanes.flip(rows, 64)]
        [(1, 4), (-2, 5), (3, -6)]
        """
        width, size = bits // self.bits, len(rows) * bits // 8      # of a column
        code = "I" if self.bits == NARROW else "Q"
        table = array(code, bytes(self.count * size))
        for i, row in enumerate(rows):
            raw = (row + self.bias).to_bytes(self.struct.size, "little")
            table[i * width::len(rows) * width] = array(code, raw)
        columns = struct.unpack(f"{size}s" * self.count, table)
        bias = lanes_of(len(rows), bits).ones << self.bits - 1
        return [raw - bias for raw in map(int.from_bytes, columns, repeat("little"))]


@lru_cache(maxsize=None)
def lanes_of(count: int, bits: int) -> Lanes:
    """The layout for this many lanes, made once."""
    return Lanes(count, bits)
