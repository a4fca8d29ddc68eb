"""Good files in, damaged files out: the mutators that test_fuzz.py draws on.

Everything comes from one random.Random, so a number names an input.  Some damage is
blind; some knows the format and mends the checksums afterwards, for without that zip,
gzip and PNG would refuse nearly all of it at the door and nothing behind it be tried.
"""
import gzip
import io
import random
import struct
import zipfile
import zlib

# Numbers at which counts, lengths and offsets of all widths go wrong.
EXTREMES = [0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31,
            2**32 - 1, 2**63 - 1, 2**64 - 1]


def rng_for(purpose: str, number: int) -> random.Random:
    """The random numbers of one input."""
    return random.Random(f"{purpose} {number}")


# --- Blind damage


def write_an_extreme(rng, data: bytes, places) -> bytes:
    """A number at the edge of some range written over what was at one of the places."""
    width, place = rng.choice([1, 2, 4, 8]), rng.choice(places)
    number = rng.choice(EXTREMES) % 256**width
    return (data[:place] + number.to_bytes(width, rng.choice(["big", "little"]))
            + data[place + width:])


def damage_once(rng, data: bytes, tokens: tuple) -> bytes:
    """A byte, a bit, a number, a piece or the end changed, lost, repeated or put in.
    """
    if rng.random() < 0.2:          # half of them in the first bytes, where headers are
        return write_an_extreme(rng, data, range(rng.choice([20, len(data) + 1])))
    start = rng.randrange(len(data) + 1)
    stop, near = (min(len(data), start + rng.randrange(1, reach)) for reach in (64, 8))
    byte = (data[start:] or b"?")[0]
    stop, new = rng.choice([
        (start + 1, bytes([byte ^ 1 << rng.randrange(8)])),
        (start + 1, bytes([rng.randrange(256)])),
        (len(data), b""), (stop, b""),
        (stop, data[start:stop] * rng.choice([2, 3, 100])),
        (start, rng.randbytes(rng.randrange(1, 16))),
        *[(rng.choice([start, near]), rng.choice(tokens))
          for _ in range(6 if tokens else 0)]])
    return data[:start] + new + data[stop:]


def damage(rng, seeds: list, tokens: tuple = ()) -> bytes:
    """A seed damaged once to four times; now and then spliced, empty or unharmed.

    `tokens` are pieces that mean something in the format, put in half the time.
    """
    data, kind = rng.choice(seeds), rng.random()
    if kind < 0.01:
        return b"" if kind < 0.005 else data
    if kind < 0.15:                 # the head of one file and the tail of another
        other = rng.choice(seeds)
        data = (data[:rng.randrange(len(data) + 1)]
                + other[rng.randrange(len(other) + 1):])
    for _ in range(rng.randrange(1, 5)):
        data = damage_once(rng, data, tokens)
    return data


# --- gzip


def damaged_gzip(rng, contents: list) -> bytes:
    """A .gz file: what is inside damaged under a right checksum, or the file itself.

    It may be in two parts, each with a header and a checksum of its own.
    """
    content = rng.choice(contents)
    if rng.random() < 0.4:
        content = damage(rng, contents)
    place = rng.randrange(len(content) + 1) if rng.random() < 0.4 else 0
    packed = b"".join(gzip.compress(part, rng.choice([1, 9]), mtime=0)
                      for part in (content[:place], content[place:]))
    return packed if rng.random() < 0.4 else damage(rng, [packed])


# --- zip and .npy


NPY_TOKENS = (b"(", b")", b"'", b"{", b"}", b",", b"<U4", b"|O", b">f2", b"<f8", b"u1",
              b"True", b"(784, 128)", b"(99999999999, 2)", b"(-1,)", b"()", b"9" * 400,
              b"0x" + b"f" * 300, b"1e999", b"\\d", b"\\N{", b"1if 2else 3", b"# ",
              b"\n", b"\0", b"\x1b[31m", b"'shape': ", b"None", b"1_0", b"b''", b"...",
              b"[[[[[[", b"-" * 500, b"NaN", b"Infinity", b"[" * 900, b"{}")

def zip_of(members: list, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of (name, content) pairs, whole and with right checksums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def damaged_npz(rng, seeds: list) -> bytes:
    """An .npz file: its arrays, its list of members or its bytes damaged.

    `seeds` are lists of (name, content), the members of good files.
    """
    members, kind = list(rng.choice(seeds)), rng.randrange(3)
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    if kind == 0:
        chosen = rng.randrange(len(members))
        name, content = members[chosen]
        members[chosen] = name, damage(rng, [content], NPY_TOKENS)
    elif kind == 1:
        names = [name for name, _ in members]
        rng.shuffle(names)
        names[0] = rng.choice(
            [names[0], "layer9.bias.npy", "\x1b[2J.npy", "", "n" * 999])
        members = [(names[i % len(names)], content)
                   for i, (_, content) in enumerate(members[rng.randrange(3):])]
    data = zip_of(members, method)
    return damage(rng, [data]) if kind == 2 else data


# --- PNG: an encoder as slow and as plain as the specification


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}       # by the colour type in the header
PASSES = {0: [(0, 0, 1, 1)],
          1: [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
              (1, 0, 2, 2), (0, 1, 1, 2)]}


def png_of(chunks) -> bytes:
    """A PNG file of (type, content) pairs, each under its right length and checksum."""
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content)) for kind, content in chunks)


def png_header(width, height, depth=8, colour=0, interlaced=0, methods=(0, 0)):
    """The chunk IHDR."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, *methods,
                                interlaced)


def packed(samples, depth):
    """Samples as bytes, high bits first, the last byte filled up with ones."""
    bits = "".join(format(sample, f"0{depth}b") for sample in samples)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def guess(kind, a, b, c):
    """The guess of a filter from the bytes to the left, above and above left."""
    if kind == 4:
        nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b),
                      (abs(a + b - 2 * c), 2, c))
        return nearest[2]
    return (0, a, b, (a + b) // 2)[kind]


def filtered(lines, step, kinds):
    """The filtered lines of a pass, a filter from `kinds` in turn for each."""
    above, result = bytes(len(lines[0])), []
    for i, line in enumerate(lines):
        kind = kinds[i % len(kinds)]
        result.append(kind)
        for x, value in enumerate(line):
            a, c = (line[x - step], above[x - step]) if x >= step else (0, 0)
            result.append(value - guess(kind, a, above[x], c) & 255)
        above = line
    return bytes(result)


def png_chunks(pixels, depth, colour, interlaced=0, kinds=(0,), extras=(), cut=1 << 20):
    """The chunks of a PNG; pixels[y][x] is a tuple of samples, IDAT in cut pieces."""
    content = b""
    for left, top, across, down in PASSES[interlaced]:
        lines = [packed([s for pixel in row[left::across] for s in pixel], depth)
                 for row in pixels[top::down] if row[left::across]]
        if lines:
            content += filtered(lines, max(1, len(pixels[0][0]) * depth // 8), kinds)
    stream = zlib.compress(content)
    return [png_header(len(pixels[0]), len(pixels), depth, colour, interlaced), *extras,
            *((b"IDAT", stream[i:i + cut]) for i in range(0, len(stream), cut)),
            (b"IEND", b"")]


def random_pixels(width, height, depth, colour):
    """Rows of pixels, each a tuple of samples."""
    dice = random.Random(f"{width} {height} {depth} {colour}")
    return [[tuple(dice.randrange(1 << depth) for _ in range(CHANNELS[colour]))
             for _ in range(width)] for _ in range(height)]


def damaged_png(rng, seeds: list) -> bytes:
    """A PNG file with a damaged header, pixels, list of chunks, chunk, or bytes.

    `seeds` are lists of chunks; all damage but the last has right checksums.
    """
    chunks, kind = list(rng.choice(seeds)), rng.randrange(5)
    chosen = rng.randrange(len(chunks))
    if kind == 0:
        chunks[0] = b"IHDR", damage(rng, [chunks[0][1]])
    elif kind == 1:     # the pixels: what is packed, then packed again
        lines = zlib.decompress(b"".join(c for name, c in chunks if name == b"IDAT"))
        chunks = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
        chunks.insert(-1, (b"IDAT", zlib.compress(damage(rng, [lines]))))
    elif kind == 2:
        other = rng.choice(rng.choice(seeds))
        rng.choice([lambda: chunks.pop(chosen), lambda: rng.shuffle(chunks),
                    lambda: chunks.insert(chosen, other),
                    lambda: chunks.insert(chosen, (b"zTXt", bytes(9)))])()
    elif kind == 3:
        name, content = chunks[chosen]
        chunks[chosen] = damage(rng, [name])[:4].ljust(4), damage(rng, [content])
    data = png_of(chunks)
    return damage(rng, [data]) if kind == 4 else data


# --- Requests to the page


HTTP_TOKENS = (b"\r\n", b"\r\n\r\n", b"\n", b" ", b":", b"%", b"?damage=", b"\xff",
               b"/unit?number=", b"99999999", b"-1", b"../", b"%2e%2e/", b"\0", b"HEAD",
               b"HTTP/9.9", b"HTTP/0.9", b"PUT", b"Content-Length: 5\r\n",
               b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n",
               b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
               b"Host: elsewhere\r\n", b"Origin: null\r\n", b"a: b\r\n" * 101,
               b"x" * 66000, b"\r\n a folded line\r\n", "\u0663".encode())


def request(method: str, path: str, host: str, content: bytes = b"") -> bytes:
    """A request as the page's own script makes it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    if method == "POST":
        lines += [f"Origin: http://{host}", "Content-Type: application/octet-stream",
                  f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def damaged_request(rng, seeds: list) -> bytes:
    """A request damaged in its head, where most of its meaning is, or anywhere."""
    data = rng.choice(seeds)
    if rng.random() < 0.2:
        return damage(rng, [data])
    head, blank, content = data.partition(b"\r\n\r\n")
    return damage(rng, [head], HTTP_TOKENS) + blank + content
