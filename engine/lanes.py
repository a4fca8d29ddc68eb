"""A row of numbers in one integer: SIMD within a big integer.

A row (v0, v1, ..., v[n-1]) of whole numbers is kept as

    N = v0 + v1 2^B + v2 2^2B + ... = sum_j v_j 2^(B j)    modulo 2^(B n),

each v_j having a lane of B bits to itself, -2^(B-1) <= v_j < 2^(B-1):

    bits   3B      2B       B       0
            |  v2  |  v1  |  v0  |

Then one big-integer operation of Python works on all lanes at once:

    rows added        N + M            number times row      k * N
    and so            sum(map(mul, numbers, rows))  is n dot products in one line.

A negative v_j borrows 1 from the lane above.  That does no harm: the integer is exact,
and adding the bias sum_j 2^(B-1 + B j) makes every lane non-negative, pays all borrows
back and leaves v_j + 2^(B-1) to be read.  As only residues modulo 2^(B n) count, a row
may be kept as a positive number: CPython adds numbers of one sign 15 % faster.

All that must not happen is that some v_j leaves its lane: who adds or multiplies has to
know a bound (`Lanes.bound`), or to look.

The idea is Kronecker's substitution; compare Dumas, Fousse and Salvy, "Compressed
modular matrix multiplication" (arXiv 0803.1975).
"""
from __future__ import annotations

import struct
from functools import lru_cache
from itertools import repeat
from typing import Iterable, Sequence

Row = int       # the lanes of one row


class LaneOverflowError(OverflowError):
    """A number that has outgrown its lane, or might have."""


class Lanes:
    """The layout of `count` lanes of `bits` bits, a multiple of 8 up to 64.

    `ones` has a 1 at the foot of each lane, so that k * ones is the row (k, k, ..., k).
    `bias` = 2^(bits - 1) * ones makes signed lanes non-negative.  `modulus` is the bit
    above the top lane, and modulus - 1 the mask of all lanes.
    """

    def __init__(self, count: int, bits: int) -> None:
        self.count, self.bits, self.width = count, bits, bits // 8
        self.size = count * self.width                  # bytes of a row
        self.modulus = 1 << count * bits
        self.ones = (self.modulus - 1) // ((1 << bits) - 1)
        self.bias = self.ones << bits - 1

    def encode(self, values: Sequence[int]) -> Row:
        """Return the row with these lanes, the first in the lowest bits.

        LaneOverflowError where a number needs more bits; ValueError where the numbers
        are not `count` integers.

        >>> hex(Lanes(3, 24).encode([1, 2, 3]))
        '0x3000002000001'
        """
        reach = 1 << self.bits - 1
        try:
            eight = struct.pack(f"<{self.count}q", *values)
        except struct.error:
            eight = b""
        if not eight and (len(values) != self.count
                          or not all(isinstance(v, int) for v in values)):
            raise ValueError(f"found {len(values)} values for {self.count} lanes, "
                             f"expected {self.count} integers")
        if not eight or max(values) >= reach or min(values) < -reach:
            raise LaneOverflowError(f"a number of {max(map(abs, values)):,} in a lane "
                                    f"of {self.bits} bits")
        raw = bytearray(self.size)
        for byte in range(self.width):          # two's complement, cut to the width
            raw[byte::self.width] = eight[byte::8]
        return (int.from_bytes(raw, "little") ^ self.bias) - self.bias

    def to_bytes(self, row: Row) -> bytes:
        """Return the biased lanes v_j + 2^(bits - 1), little-endian, one by one."""
        return (row + self.bias & self.modulus - 1).to_bytes(self.size, "little")

    def decode(self, row: Row) -> tuple[int, ...]:
        """Return the lanes of a row.

        >>> lanes = Lanes(3, 24)
        >>> lanes.decode(lanes.encode([5, -7, 0]) * 10 + lanes.ones)
        (51, -69, 1)
        """
        # Flipping the top bit turns a biased lane into two's complement, which `struct`
        # reads; copies of the sign fill other widths up to 64 bits.
        raw = ((row + self.bias & self.modulus - 1) ^ self.bias).to_bytes(
            self.size, "little")
        if self.bits in _CODES:
            return struct.unpack(f"<{self.count}{_CODES[self.bits]}", raw)
        signs = raw[self.width - 1::self.width].translate(_SIGN_BYTE)
        eight = bytearray(8 * self.count)
        for byte in range(8):
            eight[byte::8] = raw[byte::self.width] if byte < self.width else signs
        return struct.unpack(f"<{self.count}q", eight)

    def shift_right(self, row: Row, by: int) -> Row:
        """Return each lane divided by 2^by, rounded: floor(v / 2^by + 1/2).

        Shifting the integer lets bits of one lane fall into the next; the mask wipes
        them off.  A negative `by` multiplies.

        >>> lanes = Lanes(3, 24)
        >>> lanes.decode(lanes.shift_right(lanes.encode([9, -9, 6]), 2))
        (2, -2, 2)
        """
        if by <= 0:
            return row << -by
        if by >= self.bits:
            return 0
        kept, bias = self._after_shift(by)
        biased = row + self.bias & self.modulus - 1
        # The highest bit that is lost says whether to round up.  Adding 1/2 first could
        # carry the largest numbers into the next lane.
        return (biased >> by & kept) + (biased >> by - 1 & self.ones) - bias

    @lru_cache(maxsize=256)
    def _after_shift(self, by: int) -> tuple[Row, Row]:
        """Return the mask of the bits that a shift leaves in a lane, and the bias."""
        left = self.bits - by
        return (self.ones << left) - self.ones, self.ones << left - 1

    def has_room(self, rows: Iterable[Row], room: int) -> bool:
        """Return True if every lane could be multiplied by 2^room.

        Then v + 2^(bits - 1 - room) is not negative, and its `room` highest bits are 0.

        >>> lanes = Lanes(2, 8)
        >>> lanes.has_room([lanes.encode([3, -4])], 5), lanes.has_room([4], 5)
        (True, False)
        """
        if room >= self.bits:
            return not any(row & self.modulus - 1 for row in rows)
        seen, margin = 0, self.ones << self.bits - 1 - room
        for row in rows:
            seen |= row + margin
        return not seen & (self.ones << self.bits) - (self.ones << self.bits - room)

    def bound(self, rows: Iterable[Row]) -> int:
        """Return the least power of two b with -b <= v < b in every lane.

        In two's complement all bits above those of v, or of -1 - v where v < 0, are
        copies of the sign, so v ^ (v >> 1) has its highest one where these have.  The
        lane above spoils nothing but the top bit of that, which is masked off.
        """
        seen, mask = 0, self.modulus - 1
        for row in rows:
            twos = (row + self.bias & mask) ^ self.bias
            seen |= twos ^ twos >> 1
        lanes = self.count
        while lanes > 1:            # the upper half onto the lower
            lanes = (lanes + 1) // 2
            seen |= seen >> lanes * self.bits
        return 1 << (seen & (1 << self.bits - 1) - 1).bit_length()


_CODES = {32: "i", 64: "q"}
_SIGN_BYTE = bytes(128) + b"\xff" * 128     # 0 or -1, by a number's highest byte


@lru_cache(maxsize=None)
def lanes_of(count: int, bits: int) -> Lanes:
    """Return the layout for this many lanes, made once."""
    return Lanes(count, bits)


def spread(numbers: bytes, width: int, lanes: Lanes) -> Row:
    """Return the row of numbers that are stored in `width` bytes each, unsigned."""
    raw = bytearray(lanes.size)
    for byte in range(width):
        raw[byte::lanes.width] = numbers[byte::width]
    return int.from_bytes(raw, "little")


def transpose(rows: Sequence[bytes], width: int) -> list[Row]:
    """Return the columns of rows of unsigned numbers of `width` bytes, in 64-bit lanes.

    The numbers of row i go to every len(rows)-th place of a table, from place i:

        row 0: a0 a1 a2                                column 0: a0 b0
        row 1: b0 b1 b2    table: a0 b0 a1 b1 a2 b2           1: a1 b1 ...

    >>> [Lanes(2, 64).decode(column) for column in transpose([b"\1\2\3", b"\4\5\6"], 1)]
    [(1, 4), (2, 5), (3, 6)]
    """
    size, count = 8 * len(rows), len(rows[0]) // width
    table = bytearray(size * count)
    for i, row in enumerate(rows):
        for byte in range(width):
            table[8 * i + byte::size] = row[byte::width]
    columns = struct.unpack(f"{size}s" * count, table)
    return list(map(int.from_bytes, columns, repeat("little")))
