"""PNG: every colour type, depth, filter and pass from an encoder of our own; damage."""
import hashlib
import json
import os
import random
import sys
import time
import zlib
from pathlib import Path

import pytest
from conftest import ROOT, peak_memory
from tools.fuzzing import png_chunks, png_header, png_of, random_pixels

from pictures import png

SUITE = Path(os.environ.get("PNGSUITE_DIR", ROOT.parent / "shared" / "pngsuite"))
EXPECTED = SUITE / "expected.json"
FILES = json.loads(EXPECTED.read_text())["files"] if EXPECTED.exists() else {}

KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2),
         (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]


def chunk(kind, data):
    return png_of([(kind, data)])[len(png.SIGNATURE):]


END = chunk(b"IEND", b"")


def header(*fields):
    return png_of([png_header(*fields)])[len(png.SIGNATURE):]


def encode(pixels, depth, *form, **more):
    return png_of(png_chunks(pixels, depth, *form, **more))


PALETTE = [(i, 255 - i, i * 7 % 256) for i in range(256)]


def palette_of(depth):
    return b"PLTE", bytes(value for colour in PALETTE[:1 << depth] for value in colour)


def decoded(content):
    return [list(zip(*planes)) for planes in png.read(content).rows]


def refusal(content):
    """What is wrong with a file."""
    with pytest.raises(png.PngError) as caught:
        decoded(content)
    assert len(str(caught.value)) < 150
    return str(caught.value)


# --- what is valid comes out right

@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("colour, depth", KINDS)
def test_every_kind_of_pixel_in_every_size_and_filter(colour, depth, interlaced):
    extras = [palette_of(depth)] if colour == 3 else []
    for width, height in [(1, 1), (2, 3), (5, 5), (9, 8), (17, 11)]:
        pixels = random_pixels(width, height, depth, colour)
        top = (1 << depth) - 1
        expected = [[PALETTE[pixel[0]] if colour == 3 else tuple(
            s >> 8 if depth == 16 else 255 * s // top for s in pixel) for pixel in row]
            for row in pixels]
        for kinds in [(0,), (1,), (2,), (3,), (4,), (4, 2, 3, 0, 1)]:
            content = encode(pixels, depth, colour, interlaced, kinds, extras, cut=13)
            assert decoded(content) == expected


def test_paeths_guess_for_every_order_of_its_three_neighbours():
    values = list(range(0, 256, 15)) + [1, 2, 3, 254]
    for a in values:
        for c in values:
            above = [(b,) if i % 2 else (c,) for b in values for i in range(2)]
            row = [(a,), (77,)] * len(values)
            content = encode([above, row], 8, 0, kinds=(4,))
            assert decoded(content)[1] == row


@pytest.mark.parametrize("height", [15, 16, 17, 64, 65, 130])
@pytest.mark.parametrize("bytes_a_block", [1, 1 << 21])
def test_rows_are_unfiltered_in_blocks(height, bytes_a_block, monkeypatch):
    monkeypatch.setattr(png, "_BLOCK_BYTES", bytes_a_block)
    pixels = random_pixels(4, height, 8, 2)
    assert decoded(encode(pixels, 8, 2, kinds=(4, 3, 0, 1, 2, 4, 4))) == pixels


def test_what_is_not_needed_is_skipped():
    pixels = random_pixels(3, 3, 8, 2)
    extras = [(b"gAMA", bytes(4)), palette_of(8), (b"tEXt", b"a\0b"), (b"zzZz", b"")]
    assert decoded(encode(pixels, 8, 2, extras=extras) + b"behind the end") == pixels


@pytest.mark.parametrize("colour, depth, row, transparency, alphas", [
    (0, 1, [(1,), (0,), (1,)], b"\0\0", [255, 0, 255]),
    (0, 4, [(14,), (0,), (15,)], b"\0\x0e", [0, 255, 255]),
    (0, 8, [(3,), (4,)], b"\0\5", [255, 255]),
    (0, 16, [(258,), (514,), (259,)], b"\1\2", [0, 255, 255]),         # all bits count
    (2, 8, [(1, 2, 3), (1, 2, 4), (9, 1, 2), (3, 1, 2)], b"\0\1\0\2\0\3",
     [0, 255, 255, 255]),
    (2, 16, [(1, 2, 3), (257, 2, 3)], b"\0\1\0\2\0\3", [0, 255]),
    (3, 2, [(3,), (0,), (1,), (2,)], b"\0\x80", [255, 0, 128, 255])])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_colour_may_be_transparent(colour, depth, row, transparency, alphas,
                                     interlaced):
    extras = [palette_of(depth)] if colour == 3 else []
    opaque, seen = (decoded(encode([row], depth, colour, interlaced, (1,), more))[0]
                    for more in (extras, [*extras, (b"tRNS", transparency)]))
    assert seen == [(*pixel, alpha) for pixel, alpha in zip(opaque, alphas)]


@pytest.mark.skipif(not FILES, reason="no PngSuite here: set PNGSUITE_DIR")
@pytest.mark.parametrize("name", sorted(FILES))
def test_the_conformance_suite(name):
    content, expected = (SUITE / name).read_bytes(), FILES[name]
    if not expected["valid"]:
        refusal(content)
        return
    rgba = bytearray()
    for planes in png.read(content).rows:
        *colour, alpha = planes if len(planes) % 2 == 0 else (
            *planes, b"\xff" * len(planes[0]))
        pixels = bytearray(4 * len(alpha))
        for channel, plane in enumerate([*(colour * 3)[:3], alpha]):
            pixels[channel::4] = plane
        rgba += pixels
    assert hashlib.sha256(rgba).hexdigest() == expected["rgba8_sha256"]


# --- what is damaged is refused

SMALL = encode(random_pixels(4, 3, 8, 0), 8, 0, kinds=(4, 1))


@pytest.mark.parametrize("place", range(len(SMALL)))
def test_no_byte_may_be_wrong_and_none_missing(place):
    refusal(SMALL[:place])
    refusal(SMALL[:place] + bytes([SMALL[place] ^ 16]) + SMALL[place + 1:])


HEAD = png.SIGNATURE + header(2, 2)
GOOD = zlib.compress(bytes(6))
DATA = chunk(b"IDAT", GOOD)
PLTE = chunk(b"PLTE", bytes(12))


def test_the_parts_of_the_files_below_make_a_good_file():
    assert list(png.read(HEAD + DATA + END).rows) == [(bytes(2),)] * 2


@pytest.mark.parametrize("content, word", [
    (b"", "start"), (png.SIGNATURE, "cut short"),
    (png.SIGNATURE + DATA + header(2, 2) + END, "first chunk IDAT"),
    (png.SIGNATURE + chunk(b"IHDR", bytes(12)), "first chunk IHDR of 12"),
    (HEAD + END, "no IDAT"), (HEAD + DATA, "no IEND"),
    (HEAD + DATA + chunk(b"IEND", b"x"), "IEND chunk with data"),
    (HEAD + header(2, 2) + DATA + END, "IHDR out of place"),
    (HEAD + DATA + chunk(b"tEXt", b"") + DATA + END, "IDAT out of place"),
    (HEAD + DATA + chunk(b"tRNS", bytes(2)) + END, "tRNS out of place"),
    (HEAD + chunk(b"tRNS", bytes(2)) * 2 + DATA + END, "tRNS out of place"),
    (HEAD + chunk(b"ABCD", b"") + DATA + END, "unknown chunk ABCD"),
    (HEAD + chunk(b"A1CD", b"") + DATA + END, "no chunk"),
    (HEAD + PLTE + DATA + END, "palette of 12 bytes for colour type 0"),
    (HEAD + chunk(b"tRNS", bytes(6)) + DATA + END, "6 bytes of transparency"),
    (png.SIGNATURE + header(1, 1, 16, 4) + chunk(b"tRNS", bytes(4)) + DATA + END,
     "4 bytes of transparency"),
    (HEAD + chunk(b"IDAT", GOOD[:-1]) + END, "fewer pixels"),
    (HEAD + chunk(b"IDAT", b"") + END, "fewer pixels"),
    (HEAD + chunk(b"IDAT", zlib.compress(bytes(5))) + END, "fewer pixels"),
    (HEAD + chunk(b"IDAT", zlib.compress(bytes(7))) + END, "more pixels"),
    (HEAD + chunk(b"IDAT", GOOD + b"x") + END, "bytes behind"),
    (HEAD + DATA + chunk(b"IDAT", b"x") + END, "bytes behind"),
    (HEAD + chunk(b"IDAT", GOOD[:-1] + b"x") + END, "incorrect data check"),
    (HEAD + chunk(b"IDAT", b"no zlib") + END, "damaged pixels"),
    (HEAD + chunk(b"IDAT", zlib.compress(b"\5" + bytes(5))) + END, "filter 5"),
])
def test_each_rule_of_chunks_and_streams(content, word):
    assert word in refusal(content)


@pytest.mark.parametrize("chunks, word", [
    ([], "no palette"), ([b"PLTE", b""], "of 0"), ([b"PLTE", bytes(4)], "of 4"),
    ([b"PLTE", bytes(15)], "of 15"),                    # five colours for two bits
    ([b"tRNS", b"x", b"PLTE", bytes(12)], "PLTE out of place"),
    ([b"PLTE", bytes(12), b"PLTE", bytes(12)], "PLTE out of place"),
    ([b"PLTE", bytes(6), b"tRNS", bytes(3)], "3 bytes of transparency"),
    ([b"PLTE", bytes(9)], "colour 3 of a palette of 3"),
])
def test_each_rule_of_palettes(chunks, word):
    content = encode([[(0,), (3,)]], 2, 3, extras=zip(chunks[::2], chunks[1::2]))
    assert word in refusal(content)


@pytest.mark.parametrize("word, fields", [
    ("colour type 0 with 3 bits", (2, 2, 3, 0)), ("colour type 3", (2, 2, 16, 3)),
    ("colour type 7", (2, 2, 8, 7)), ("colour type 0", (2, 2, 0, 0)),
    ("methods", (2, 2, 8, 0, 0, (1, 0))), ("methods", (2, 2, 8, 0, 0, (0, 1))),
    ("methods", (2, 2, 8, 0, 2)), *[("a header that claims", size) for size in (
        (65536, 65536), (0, 5), (5, 0), (50_000_001, 1), (1, 65_537), (65_537, 1),
        (10_000, 5001))]])
def test_headers_that_mean_nothing_or_too_much(word, fields):
    assert word in refusal(png.SIGNATURE + header(*fields) + PLTE + DATA + END)


# --- what is made to do harm

def least_time(action):
    """Seconds of this process, the least of three."""
    def seconds():
        start = time.process_time()
        action()
        return time.process_time() - start
    return min(seconds() for _ in range(3))


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="PyPy's loops are fast")
@pytest.mark.parametrize("kind", [4, 3])
def test_no_filter_takes_longer_than_a_step_of_python_for_each_byte(kind):
    lines = b"".join(bytes([kind]) + random.Random(y).randbytes(2000)
                     for y in range(500))
    content = (png.SIGNATURE + header(500, 500, 8, 6)
               + chunk(b"IDAT", zlib.compress(lines, 1)) + END)
    loop = least_time(lambda: [byte + 1 & 255 for byte in lines])
    assert least_time(lambda: list(png.read(content).rows)) < 2.5 * loop


@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_large_header_takes_no_memory_before_there_are_pixels(interlaced):
    content = png.SIGNATURE + header(7000, 7000, 16, 6, interlaced) + DATA + END
    assert peak_memory(refusal, content) < 2_000_000


def test_a_stream_unpacks_no_further_than_the_header_says():
    bomb = zlib.compress(bytes(30_000_000))             # 30 kB
    content = HEAD + chunk(b"IDAT", bomb) + END
    assert "more pixels" in refusal(content)
    assert peak_memory(refusal, content) < 1_000_000
