"""Matrices in files: the .npz format of NumPy, read and written without NumPy.

An .npz file is a zip archive with one .npy file for each array.  An .npy file is

    6 bytes    \\x93NUMPY
    2 bytes    version, 1 and 0
    2 bytes    length of the header, little-endian (4 bytes from version 2 on)
    header     a Python dict as text, padded with blanks to a multiple of 64:
               {'descr': '<f8', 'fortran_order': False, 'shape': (784, 128), }
    the rest   the numbers, '<f8' being little-endian 8-byte floats

Source: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays".
There is no pickle in any of it, so that reading a file never runs what it says.
"""
from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from itertools import chain
from pathlib import Path
from typing import Any, Iterator

from engine.files import parse_json, write_whole
from errors import DataError
from my_math import Matrix

_MAGIC = b"\x93NUMPY"
MOST_NUMBERS = 5_000_000        # in an archive: 200 MB as lists of floats
_TOO_MANY = f"more than {MOST_NUMBERS:,} numbers"
_LARGEST_MEMBER = 64 << 20      # bytes; so long is the history of 60,000 epochs
_SMALL = 1 << 20                # bytes that any archive may unpack to
_LONGEST_NAME = 100             # characters of an array's name
_CODES = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
          "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}       # NumPy's names to struct's
# At most two sizes, neither of them 0: those of a text, a number, a vector, a matrix.
_HEADER = re.compile(r"\{'descr': '([<>|=])(\w+)', 'fortran_order': (True|False), "
                     r"'shape': \((?:([1-9]\d{0,9}),(?: ([1-9]\d{0,9}))?)?\), \}\s*")


# --- one array, an .npy file

def _npy(descr: str, shape: tuple, data: bytes) -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    padded = header + " " * (-(len(header) + 11) % 64) + "\n"
    return _MAGIC + struct.pack("<BBH", 1, 0, len(padded)) + padded.encode() + data


def matrix_to_npy(matrix: Matrix) -> bytes:
    """An .npy file of 8-byte floats: exact for floats and for integers up to 2^53."""
    m, n = matrix.shape
    return _npy("<f8", (m, n), struct.pack(f"<{m * n}d", *chain.from_iterable(matrix)))


def text_to_npy(text: str) -> bytes:
    """An .npy file of one string, as numpy.array(text): four bytes a character."""
    return _npy(f"<U{len(text)}", (), text.encode("utf-32-le"))


def parse_npy(content: bytes) -> Matrix | str:
    """The matrix or the text in an .npy file; a vector of n numbers is 1 x n.

    Raises ValueError that says what is wrong.
    """
    if content[:6] != _MAGIC or len(content) < 12:
        raise ValueError("no .npy file inside")
    wide = content[6] > 1
    size, = struct.unpack_from("<I" if wide else "<H", content, 8)
    start = 12 if wide else 10
    header = content[start:start + size].decode("latin-1")
    found = _HEADER.fullmatch(header)
    if not found:
        raise ValueError(f"an array with the header {header!r:.80}")
    order, kind, fortran, *shape = found.groups()
    data = memoryview(content)[start + size:]
    if kind[0] == "U":
        return str(data, "utf-32-le" if order == "<" else "utf-32-be").rstrip("\0")
    rows, columns = (1, 1, *(int(n) for n in shape if n))[-2:]
    if fortran == "True":       # column by column
        return Matrix(zip(*_parse_numbers(order, kind, columns, rows, data)))
    return Matrix(_parse_numbers(order, kind, rows, columns, data))


def _parse_numbers(order: str, kind: str, lines: int, size: int, data: memoryview
                   ) -> Iterator[tuple]:
    """Return numbers in `lines` tuples of `size`; ValueError if they are others."""
    if kind not in _CODES:
        raise ValueError(f"numbers of type {kind:.40}")
    line = f"{'>' if order == '>' else '<'}{size}{_CODES[kind]}"
    if lines * size > MOST_NUMBERS:
        raise ValueError(_TOO_MANY)
    if len(data) != lines * struct.calcsize(line):
        raise ValueError(f"{len(data):,} bytes for {lines * size:,} numbers")
    return struct.iter_unpack(line, data)


# --- many arrays, an .npz file

def write_npz(path: str | Path, matrices: dict[str, Matrix], settings: dict) -> None:
    """Write named matrices, and settings as JSON text under the name `settings`.

    `numpy.load` opens the file.  The same content gives the same bytes.
    """
    members = {name: matrix_to_npy(matrix) for name, matrix in matrices.items()}
    members["settings"] = text_to_npy(json.dumps(settings))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():     # ZipInfo's date is fixed: 1980
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content)
    write_whole(path, buffer.getvalue())


def read_npz(path: str | Path) -> tuple[dict[str, Matrix], dict]:
    """(matrices by name, settings) of a file that `write_npz` or NumPy wrote.

    Settings are {} where the file has none.  Raises DataError with path, found and
    expected, whatever the file is.
    """
    try:
        arrays = _read_members(path)
        settings = parse_json(arrays.pop("settings", "{}"))
        if not isinstance(settings, dict):
            raise ValueError(f"settings that are {settings!r:.40}")
        matrices = {name: a for name, a in arrays.items() if isinstance(a, Matrix)}
        return matrices, settings
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        found = f"a damaged file or no zip archive ({error})"
    except (ValueError, TypeError, struct.error) as error:
        found = str(error)
    except OSError as error:
        nowhere = error.errno == errno.EINVAL      # an offset before the file's start
        found = "a damaged archive" if nowhere else error.strerror or str(error)
    # An error may quote the file: zipfile's a name in it of up to 65,535 bytes.
    raise DataError(path, found[:200], "a model: an .npz file as train.py writes it")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raise ValueError unless the members of an archive of this size may be unpacked.

    A zip of a few kilobytes can claim, and even hold, gigabytes.  Weights hardly
    shrink when they are packed, so ten times the size is more than any model needs.
    """
    total = sum(info.file_size for info in members)
    for info in members:
        name = info.filename
        if not name.isprintable() or len(name) > _LONGEST_NAME:
            raise ValueError(f"an array named {name!r:.40}")
        if info.file_size > _LARGEST_MEMBER:
            raise ValueError(f"{name} of {info.file_size:,} bytes")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} compressed in an unknown way")
    if total > 10 * size + _SMALL:
        raise ValueError(f"{size:,} bytes that unpack to {total:,}")


def _read_members(path: str | Path) -> dict[str, Any]:
    arrays, numbers = {}, 0
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("a folder, a pipe or a device")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _check_members(members, os.path.getsize(path))
        for info in members:
            # Without a size, read() would unpack all that is there, whatever it claims.
            with archive.open(info) as member:
                content = member.read(info.file_size)
            array = arrays[info.filename[:-4]] = parse_npy(content)
            numbers += math.prod(array.shape) if isinstance(array, Matrix) else 0
            if numbers > MOST_NUMBERS:
                raise ValueError(_TOO_MANY)
    return arrays
