"""PNG: every colour type, depth, filter and pass from an encoder of our own; damage."""
import hashlib
import json
import os
import random
import struct
import sys
import time
import zlib
from pathlib import Path

import pytest
from conftest import ROOT, peak_memory
from tools.fuzzing import png_of

from errors import DataError
from pictures import png

SUITE = Path(os.environ.get("PNGSUITE_DIR", ROOT.parent / "shared" / "pngsuite"))
EXPECTED = SUITE / "expected.json"
FILES = json.loads(EXPECTED.read_text())["files"] if EXPECTED.exists() else {}

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2),
         (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]
PASSES = {0: [(0, 0, 1, 1)],
          1: [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
              (1, 0, 2, 2), (0, 1, 1, 2)]}


# --- an encoder, as slow and as plain as the specification

def chunk(kind, data):
    return png_of([(kind, data)])[len(png.SIGNATURE):]


def header(width, height, depth=8, colour=0, interlaced=0, methods=(0, 0)):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour,
                                      *methods, interlaced))


def predicted(kind, a, b, c):
    if kind == 4:
        nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b),
                      (abs(a + b - 2 * c), 2, c))
        return nearest[2]
    return (0, a, b, (a + b) // 2)[kind]


def packed(samples, depth):
    """Samples as bytes, high bits first, the last byte filled up with ones."""
    bits = "".join(format(sample, f"0{depth}b") for sample in samples)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def filtered(lines, step, kinds):
    """The filtered lines of a pass, a filter from `kinds` in turn for each."""
    above, result = bytes(len(lines[0])), []
    for i, line in enumerate(lines):
        kind = kinds[i % len(kinds)]
        result.append(kind)
        for x, value in enumerate(line):
            a, c = (line[x - step], above[x - step]) if x >= step else (0, 0)
            result.append(value - predicted(kind, a, above[x], c) & 255)
        above = line
    return bytes(result)


def raw(pixels, depth, interlaced=0, kinds=(0,)):
    """The bytes that go into zlib; pixels[y][x] is a tuple of samples."""
    content = b""
    for left, top, across, down in PASSES[interlaced]:
        lines = [packed([s for pixel in row[left::across] for s in pixel], depth)
                 for row in pixels[top::down] if row[left::across]]
        if lines:
            content += filtered(lines, max(1, len(pixels[0][0]) * depth // 8), kinds)
    return content


def encode(pixels, depth, colour, interlaced=0, kinds=(0,), extras=(), cut=1 << 20):
    stream = zlib.compress(raw(pixels, depth, interlaced, kinds))
    return b"".join([
        png.SIGNATURE, header(len(pixels[0]), len(pixels), depth, colour, interlaced),
        *(chunk(kind, data) for kind, data in extras),
        *(chunk(b"IDAT", stream[i:i + cut]) for i in range(0, len(stream), cut)),
        chunk(b"IEND", b"")])


def random_pixels(width, height, depth, colour):
    dice = random.Random(f"{width} {height} {depth} {colour}")
    return [[tuple(dice.randrange(1 << depth) for _ in range(CHANNELS[colour]))
             for _ in range(width)] for _ in range(height)]


def shades(pixels, depth):
    """What has to come out, pixel by pixel: samples of 8 bits."""
    top = (1 << depth) - 1
    return [[tuple(s >> 8 if depth == 16 else 255 * s // top for s in pixel)
             for pixel in row] for row in pixels]


PALETTE = [(i, 255 - i, i * 7 % 256) for i in range(256)]


def palette_of(depth):
    return b"PLTE", bytes(value for colour in PALETTE[:1 << depth] for value in colour)


def decoded(content):
    return [list(zip(*planes)) for planes in png.rows(content)]


def refusal(content):
    """The DataError, which has to be one line."""
    with pytest.raises(DataError) as caught:
        list(png.rows(content, "a.png"))
    text = str(caught.value)
    assert text.startswith("a.png: found ") and "\n" not in text and len(text) < 200
    return text


# --- what is valid comes out right

@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("colour, depth", KINDS)
def test_every_kind_of_pixel_in_every_size_and_filter(colour, depth, interlaced):
    extras = [palette_of(depth)] if colour == 3 else []
    for width, height in [(1, 1), (2, 3), (5, 5), (9, 8), (17, 11)]:
        pixels = random_pixels(width, height, depth, colour)
        expected = ([[PALETTE[s] for s, in row] for row in pixels] if colour == 3
                    else shades(pixels, depth))
        for kinds in [(0,), (1,), (2,), (3,), (4,), (4, 2, 3, 0, 1)]:
            content = encode(pixels, depth, colour, interlaced, kinds, extras)
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


@pytest.mark.parametrize("cut", [1, 3, 50])
def test_the_stream_may_be_cut_anywhere_into_chunks(cut):
    pixels = random_pixels(9, 9, 8, 2)
    assert decoded(encode(pixels, 8, 2, cut=cut)) == pixels


def test_what_is_not_needed_is_skipped():
    pixels = random_pixels(3, 3, 8, 2)
    extras = [(b"gAMA", bytes(4)), palette_of(8), (b"tEXt", b"a\0b"), (b"zzZz", b"")]
    assert decoded(encode(pixels, 8, 2, extras=extras) + b"behind the end") == pixels


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_one_shade_of_grey_may_be_transparent(depth, interlaced):
    pixels = random_pixels(9, 9, depth, 0)
    pixels[0][0] = gone = ((1 << depth) - 2,)
    content = encode(pixels, depth, 0, interlaced, (4,),
                     [(b"tRNS", struct.pack(">H", *gone))])
    assert decoded(content) == [
        [(*shade, 255 * (pixel != gone)) for shade, pixel in zip(out, row)]
        for out, row in zip(shades(pixels, depth), pixels)]


@pytest.mark.parametrize("depth", [8, 16])
def test_one_colour_may_be_transparent_and_all_its_bits_count(depth):
    top = (1 << depth) - 1
    pixels = [[(1, 2, 3), (1, 2, 4), (top, 1, 2), (3, 1, 2)], [(9, 9, 9)] * 4]
    content = encode(pixels, depth, 2, extras=[(b"tRNS", struct.pack(">3H", 1, 2, 3))])
    alphas = [[pixel[3] for pixel in row] for row in decoded(content)]
    assert alphas == [[0, 255, 255, 255], [255] * 4]


def test_the_first_colours_of_a_palette_may_be_transparent():
    extras = [palette_of(2), (b"tRNS", bytes([0, 128]))]
    content = encode([[(3,), (0,), (1,), (2,)]], 2, 3, extras=extras)
    assert decoded(content) == [[(*PALETTE[3], 255), (*PALETTE[0], 0),
                                 (*PALETTE[1], 128), (*PALETTE[2], 255)]]


@pytest.mark.skipif(not FILES, reason="no PngSuite here: set PNGSUITE_DIR")
@pytest.mark.parametrize("name", sorted(FILES))
def test_the_conformance_suite(name):
    content, expected = (SUITE / name).read_bytes(), FILES[name]
    if not expected["valid"]:
        refusal(content)
        return
    rgba = bytearray()
    for planes in png.rows(content):
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


HEAD, END = png.SIGNATURE + header(2, 2), chunk(b"IEND", b"")
GOOD = zlib.compress(bytes(6))
DATA = chunk(b"IDAT", GOOD)
PLTE = chunk(b"PLTE", bytes(12))


def test_the_parts_of_the_files_below_make_a_good_file():
    assert list(png.rows(HEAD + DATA + END)) == [(bytes(2),)] * 2


@pytest.mark.parametrize("content, word", [
    (b"", "start"), (b"GIF89a", "start"), (png.SIGNATURE, "cut short"),
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


@pytest.mark.parametrize("colour", [4, 6])
def test_no_second_transparency(colour):
    content = encode(random_pixels(2, 2, 8, colour), 8, colour,
                     extras=[(b"tRNS", bytes(2 * CHANNELS[colour]))])
    assert "transparency" in refusal(content)


@pytest.mark.parametrize("head, word", [
    *[(header(2, 2, *fields), "colour type") for fields in (
        (3, 0), (16, 3), (4, 2), (8, 1), (8, 7), (0, 0))],
    *[(header(2, 2, 8, 0, *fields), "methods") for fields in (
        (0, (1, 0)), (0, (0, 1)), (2, (0, 0)))],
    *[(header(*size), "a header that claims") for size in (
        (65536, 65536), (2 ** 31 - 1, 2 ** 31 - 1), (0, 5), (5, 0), (50_000_001, 1),
        (1, 65_537), (65_537, 1), (10_000, 5001))]])
def test_headers_that_mean_nothing_or_too_much(head, word):
    assert word in refusal(png.SIGNATURE + head + PLTE + DATA + END)


# --- what is made to do harm

def least_time(action):
    """Seconds of this process, the least of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="PyPy's loops are fast")
@pytest.mark.parametrize("kinds", [(4,), (3,)])
def test_no_filter_takes_longer_than_a_step_of_python_for_each_byte(kinds):
    lines = b"".join(bytes([kinds[y % len(kinds)]]) + random.Random(y).randbytes(2000)
                     for y in range(500))
    content = (png.SIGNATURE + header(500, 500, 8, 6)
               + chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b""))
    loop = least_time(lambda: [byte + 1 & 255 for byte in lines])
    assert least_time(lambda: list(png.rows(content))) < 2.5 * loop


@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_large_header_takes_no_memory_before_there_are_pixels(interlaced):
    content = png.SIGNATURE + header(7000, 7000, 16, 6, interlaced) + DATA + END
    assert peak_memory(refusal, content) < 2_000_000


def test_a_stream_unpacks_no_further_than_the_header_says():
    bomb = zlib.compress(bytes(30_000_000))             # 30 kB
    content = HEAD + chunk(b"IDAT", bomb) + END
    assert "more pixels" in refusal(content)
    assert peak_memory(refusal, content) < 1_000_000
