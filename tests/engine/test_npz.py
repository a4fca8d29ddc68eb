"""The .npz files: exact round trips, NumPy on the other side, and damaged files."""
import io
import json
import os
import struct
import zipfile

import pytest
from conftest import is_refusal

from engine import npz
from errors import DataError
from my_math import Matrix

MATRICES = {"layer1.weights": Matrix([[0.1, -2.5e-300, 3.0], [4e300, 5.0, -0.0]]),
            "layer1.bias": Matrix([[1 / 3], [2 ** 53], [float("inf")]])}
SETTINGS = {"loss": "mse", "epochs": 3, "note": "größer \\ \" € 😀", "deep": [1, None]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def npy(descr="<f8", fortran="False", shape="(1, 2)", data=bytes(16), version=1):
    """An .npy file with a header of one's own choice."""
    header = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + data


def archive(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as zipped:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)               # with a date that stays
            zipped.writestr(info, content, compression)
    return buffer.getvalue()


def refusal(path):
    """The DataError, which has to be one line that names the file."""
    with pytest.raises(DataError) as caught:
        npz.read_npz(path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    assert str(path) in text and caught.value.found and caught.value.expected
    return caught.value


# --- round trips

def test_what_is_written_is_read_exactly(path):
    npz.write_npz(path, MATRICES, SETTINGS)
    matrices, settings = npz.read_npz(path)
    assert (matrices, settings) == (MATRICES, SETTINGS)
    assert list(matrices) == list(MATRICES)
    assert str(matrices["layer1.weights"][1, 2]) == "-0.0"     # the sign of zero too


def test_the_same_content_gives_the_same_bytes(path, monkeypatch):
    npz.write_npz(path, MATRICES, SETTINGS)
    before = path.read_bytes()
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 12, 0, 0, 0, 0, 0))
    npz.write_npz(path, MATRICES, SETTINGS)
    assert path.read_bytes() == before


def test_the_numbers_start_at_a_multiple_of_64_bytes():
    """The format asks for it, so that a file can be mapped into memory."""
    content = npz.matrix_to_npy(Matrix.zeros(10, 100))
    assert (len(content) - 8000) % 64 == 0 and content[:8] == b"\x93NUMPY\1\0"


# --- NumPy on the other side

@pytest.fixture
def numpy():
    return pytest.importorskip("numpy", reason="NumPy is not installed")


def test_numpy_opens_what_is_written_here(path, numpy):
    npz.write_npz(path, MATRICES, SETTINGS)
    with numpy.load(path) as arrays:            # allow_pickle is False
        assert sorted(arrays.files) == sorted([*MATRICES, "settings"])
        for name, matrix in MATRICES.items():
            assert arrays[name].dtype == numpy.float64
            assert arrays[name].tolist() == list(matrix)
        assert json.loads(str(arrays["settings"])) == SETTINGS


TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [order + kind for kind in TYPES for order in "<>"])
def test_what_numpy_writes_is_read_here(path, numpy, kind, compressed):
    a = numpy.array([[1, 2, 3], [100, 5, 127]], dtype=kind)
    save = numpy.savez_compressed if compressed else numpy.savez
    save(path, plain=a, fortran=numpy.asfortranarray(a), turned=a.T, vector=a[1],
         number=a[1, 2], settings=numpy.array('{"loss": "bce"}'))
    matrices, settings = npz.read_npz(path)
    assert settings == {"loss": "bce"}
    assert {name: list(matrix) for name, matrix in matrices.items()} == {
        "plain": a.tolist(), "fortran": a.tolist(), "turned": a.T.tolist(),
        "vector": [a[1].tolist()], "number": [[127]]}


def test_the_numbers_of_other_types_are_read_without_numpy():
    # Frozen: the bytes of numpy.array([[1.5, -2], [3, 0.25]], ">f2").tobytes().
    content = npy(">f2", shape="(2, 2)", data=bytes.fromhex("3e00c00042003400"))
    assert npz.parse_npy(content) == Matrix([[1.5, -2], [3, 0.25]])


def test_fortran_order_is_column_by_column():
    a = npz.parse_npy(npy("|u1", "True", "(2, 3)", bytes([1, 2, 3, 4, 5, 6])))
    assert a == Matrix([[1, 3, 5], [2, 4, 6]])


def test_every_version_of_the_format_is_read():
    for version in (1, 2, 3):
        content = npy(data=struct.pack("<2d", 0.5, -7), version=version)
        assert npz.parse_npy(content) == Matrix([[0.5, -7]])


def test_text_is_read_in_either_byte_order():
    for descr, code in ("<U3", "utf-32-le"), (">U3", "utf-32-be"):
        content = npy(descr, shape="()", data="ä€😀".encode(code))
        assert npz.parse_npy(content) == "ä€😀"


# --- what is no such file

ODD_ARRAYS = [
    {"descr": "|O"}, {"descr": "<c16"}, {"descr": "<f16"}, {"descr": "|b1"},
    {"descr": "x"}, {"descr": ""}, {"descr": "*f8"}, {"descr": [("a", "<f8")]},
    {"descr": "|S2"},
    {"shape": "(0, 2)"}, {"shape": "(-1, -2)"}, {"shape": "(1, 1, 2)"},
    {"shape": "2"}, {"shape": "(1.0, 2)"}, {"shape": "None"}, {"shape": "(2, 2)"},
    {"shape": "(99999999999, 99999999999)"}, {"fortran": "maybe"}, {"data": b""},
    {"data": bytes(15)}, {"data": bytes(17)}, {"fortran": "False, 'shape'"},
    {"shape": "__import__('os').system('true')"}, {"shape": "(" * 500}]
NO_ARRAYS = [
    b"", b"PNG" + bytes(60), b"\x93NUMPY", b"\x93NUMPY\1\0\xff\xff{",
    b"\x93NUMPY\1\0\2\0{}", b"\x93NUMPY\1\0\2\0[]",
    b"\x93NUMPY\1\0\1\0(" + bytes(60)]
NO_SETTINGS = ["{", "[1]", "3", '"text"', "", "null", "[" * 99999]
FOREIGN = [
    *(archive({"a.npy": npy(**told)}) for told in ODD_ARRAYS),
    *(archive({"a.npy": content}) for content in NO_ARRAYS),
    *(archive({"settings.npy": npz.text_to_npy(text)}) for text in NO_SETTINGS),
    b"", b"P", b"<!DOCTYPE html><html>404</html>", bytes(range(256)) * 9, npy(),
    archive({"readme.txt": "hello"}), archive({"folder/": b""}),
    archive({"a.npy": npy()}, zipfile.ZIP_BZIP2), archive({"a" * 101: b""}),
    archive({"a.npy": bytes(1 << 21)}, zipfile.ZIP_DEFLATED)]


@pytest.mark.parametrize("content", FOREIGN)
def test_a_foreign_file_is_refused_in_one_line(path, content):
    path.write_bytes(content)
    assert "an .npz file" in refusal(path).expected


def test_what_an_error_quotes_of_a_file_is_short(path):
    content = bytearray(archive({"a.npy": npz.matrix_to_npy(Matrix([[1] * 999]))}))
    content[26:28] = struct.pack("<H", 8000)    # of its name, it says
    path.write_bytes(content)
    assert len(refusal(path).found) == 200


def test_settings_may_be_missing_but_not_be_numbers(path):
    path.write_bytes(archive({"a.npy": npz.matrix_to_npy(Matrix([[1]]))}))
    assert npz.read_npz(path) == ({"a": Matrix([[1]])}, {})
    path.write_bytes(archive({"settings.npy": npz.matrix_to_npy(Matrix([[1]]))}))
    refusal(path)


def test_a_missing_file_and_a_folder_are_refused(path, tmp_path):
    assert "No such file" in refusal(path).found
    refusal(tmp_path)


def test_a_member_that_would_fill_the_memory_is_refused_unread(path, monkeypatch):
    monkeypatch.setattr(npz, "_LARGEST_MEMBER", 1000)
    path.write_bytes(archive({"bomb.npy": bytes(1001)}, zipfile.ZIP_DEFLATED))
    assert "bomb.npy of 1,001 bytes" in refusal(path).found


def test_a_damaged_number_never_gets_through(path):
    """Damage of every other kind: test_fuzz.py."""
    npz.write_npz(path, MATRICES, SETTINGS)
    whole = path.read_bytes()
    place = whole.index(struct.pack("<d", 1 / 3))
    for bit in range(64):
        damaged = bytearray(whole)
        damaged[place + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        refusal(path)


# --- files made to take memory or time

HARMFUL = {
    "too many numbers": ({"a": lambda: npy(
        "<f8", shape="(7, 1048576)", data=bytes(7 << 23))}, "more than 5,000,000"),
    "small numbers": ({"a": lambda: npy("|u1", shape="(32, 1048576)",
                                        data=bytes(32 << 20))}, "more than 5,000,000"),
    "many arrays": ({name: lambda: npy("<f4", shape="(32, 65536)", data=bytes(8 << 20))
                     for name in "abcd"}, "more than 5,000,000"),
    "numbers to the limit": ({"layer1.weights": lambda: npy(
        "<f8", shape="(625, 8000)", data=bytes(40_000_000))}, "layer1.bias"),
    "lists": ({"settings": lambda: npz.text_to_npy("[" + "[]," * 10 ** 6 + "1]")},
              "parts"),
    "nested lists": ({"settings": lambda: npz.text_to_npy("[" * 10 ** 5)}, "end"),
    "digits": ({"settings": lambda: npz.text_to_npy("1" * 10 ** 6)}, "1,000,000 dig"),
    "texts": ({"settings": lambda: npz.text_to_npy("[" + '"ab",' * 990_000 + "1]")},
              "settings that are ['ab'"),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_harmful_files_take_neither_memory_nor_time(harm, path, limited):
    contents, words = HARMFUL[harm]
    path.write_bytes(archive(
        {f"{name}.npy": make() for name, make in contents.items()}))
    done = limited("predict.py", "--index", "1", "--model", path)
    assert is_refusal(done) and words in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["/dev/zero", "/"])
def test_what_is_no_file_is_not_read(name, limited):
    if not os.path.exists(name):
        pytest.skip(f"no {name}")
    done = limited("predict.py", "--index", "1", "--model", name)
    assert is_refusal(done) and "a folder, a pipe or a device" in done.stderr
