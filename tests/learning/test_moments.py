"""moments: networks rounded, in a file that is small, whole and of this model."""
import json
import random
import struct
import zlib
from itertools import chain

import pytest
from conftest import ROOT

from errors import DataError
from learning import moments
from learning.models import Model
from learning.moments import (MEASURED, MOMENTS, Moment, Recording, about_run,
                              add_moment, load_recording, measured, pack,
                              save_recording, unpack)
from my_math import Matrix
from network import Evaluation, Network

SIZES = [784, 12, 3]
NAMES = ["no", "yes", "perhaps"]


def network_of(seed, sizes=SIZES):
    return Network(sizes, "tanh", rng=random.Random(seed))


def moment_of(epoch, images=0, seed=0):
    return Moment(epoch, images, [1, 0, 4], [2, 2, 4], pack(network_of(seed)))


@pytest.fixture
def recording():
    about = about_run(network_of(0), 4, NAMES, "some digits")
    history = [[0.5, 0.75, 0.25, 0.875, 1.5], [0.25, 0.8, 0.2, 0.9, 1.25]]
    return Recording(about, 640, 8, "validation", history,
                     [moment_of(0), moment_of(0, 96, 1), moment_of(2, 0, 2)])


@pytest.fixture
def file(recording, tmp_path):
    path = tmp_path / MOMENTS
    save_recording(path, recording)
    return path


# --- numbers

@pytest.mark.parametrize("sizes", [[784, 3], SIZES, [784, 5, 4, 3]])
def test_a_network_comes_back_but_for_rounding(sizes):
    network = network_of(3, sizes)
    for layer in network.layers:
        layer.bias = Matrix([[0.3 * j - 1 for j in range(layer.bias.shape[1])]])
    numbers = pack(network)
    found = unpack(numbers, sizes, "tanh", "cross-entropy")
    assert found.sizes == sizes and found.activation == "tanh"
    assert pack(found) == numbers
    assert len(numbers) == 2 * network.parameter_count
    matrices, others = ([matrix for layer in net.layers
                         for matrix in (layer.weights, layer.bias)]
                        for net in (network, found))
    for number, (matrix, other) in enumerate(zip(matrices, others)):
        for a, b in zip(chain(*matrix), chain(*other)):
            assert abs(a - b) <= (2 ** -11 * abs(a) if number else 1 / 256)


def test_numbers_too_large_are_cut_off():
    network = network_of(1)
    network.layers[0].weights[0, 0], network.layers[0].weights[0, 1] = 1e9, -1e9
    network.layers[1].bias[0, 2] = -1e30
    found = unpack(pack(network), SIZES, "tanh", "cross-entropy")
    assert found.layers[0].weights[0][:2] == [32767 / 128, -32767 / 128]
    assert found.layers[1].bias[0, 2] == -65504


def test_a_moment_counts_what_is_correct():
    found = Evaluation([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]],
                       bytes([1, 1, 2, 0]))
    moment = Moment.of(3, 0, network_of(5), found)
    assert moment[:4] == (3, 0, [0, 1, 1], [1, 2, 1])
    assert moment.numbers == pack(network_of(5))


# --- which moments are kept

def test_milestones_stay_and_the_last_one():
    kept = []
    for images in (0, 96, 992, 9984):
        add_moment(kept, moment_of(0, images))
    for epoch in range(1, 161):
        add_moment(kept, moment_of(epoch))
        assert kept[-1].epoch == epoch
    assert [moment.name for moment in kept] == [
        "start", "96 images", "992 images", "9,984 images",
        *(f"epoch {n}" for n in (1, 2, 3, 5, 10, 20, 30, 50, 100, 160))]


def test_a_moment_takes_the_place_of_what_is_not_before_it():
    kept = [moment_of(0), moment_of(1), moment_of(2, 500), moment_of(3)]
    add_moment(kept, moment_of(2, 500, seed=9))
    assert [moment[:2] for moment in kept] == [(0, 0), (1, 0), (2, 500)]
    assert kept[-1] == moment_of(2, 500, seed=9)
    assert kept[-1].name == "epoch 2 and 500 images"


def test_a_row_of_the_history_is_measured_on_what_it_was_evaluated_on():
    for part in "validation", "test":
        row = {"epoch": 1, "loss": 1, "train_accuracy": 2, "images": 5, "seconds": 6,
               f"{part}_loss": 3, f"{part}_accuracy": 4}
        assert measured(row) == [1, 2, 3, 4, 6]


# --- the file

def test_a_recording_comes_back(recording, file):
    assert load_recording(file, recording.about) == recording


def test_little_change_takes_little_room(recording, tmp_path):
    network, kept, sizes = network_of(0), [], []
    for epoch in (1, 2, 3, 5):
        network.layers[0].weights[epoch, 0] += 0.5
        kept.append(Moment(epoch, 0, [0] * 3, [0] * 3, pack(network)))
        save_recording(tmp_path / MOMENTS, recording._replace(
            history=[[0.0] * 5] * 5, moments=kept))
        sizes.append((tmp_path / MOMENTS).stat().st_size)
    assert sizes[-1] < 1.15 * sizes[0]


def test_weights_may_change_by_more_than_a_byte(recording, file):
    """From -256 to 256, and back."""
    low, high = network_of(0), network_of(0)
    for j in range(12):
        low.layers[0].weights[7, j], high.layers[0].weights[7, j] = -255.5, 255.5
    kept = [Moment(epoch, 0, [0] * 3, [0] * 3, pack(network))
            for epoch, network in enumerate((low, high, low))]
    save_recording(file, recording._replace(moments=kept))
    assert load_recording(file, recording.about).moments == kept


def rewrite(path, header=lambda fields: None, content=lambda numbers: numbers,
            packed=lambda stream: stream):
    """Change the fields of the header, the numbers and what they are packed into."""
    line, _, stream = path.read_bytes().partition(b"\n")
    fields = json.loads(line)
    header(fields)
    stream = packed(zlib.compress(content(zlib.decompress(stream))))
    path.write_bytes(json.dumps(fields).encode() + b"\n" + stream)


def setting(*path_and_value):
    """What sets a field of a field ... of the header."""
    *path, last, value = path_and_value

    def change(fields):
        for key in path:
            fields = fields[key]
        fields[last] = value
    return {"header": change}


HALF_INFINITE = struct.pack("<e", float("inf"))
DAMAGE = {
    "more than is known": setting("colour", "blue"),
    "short history": setting("history", 0, [1.0, 2.0]),
    "a number beyond all floats": setting("history", 0, 1, 10 ** 400),
    "no moment": setting("moments", []),
    "too many": dict(header=lambda fields: fields.update(epochs=99, history=[[
        1, 1, 1, 1, 1]] * 99, moments=[[n, 0, [0] * 3, [0] * 3] for n in range(99)])),
    "twice the same": dict(header=lambda fields: fields["moments"].append(
        fields["moments"][-1])),
    "before the start": setting("moments", 0, 0, -1),
    "an epoch after the last": setting("moments", 2, 0, 3),
    "more correct than there are": setting("moments", 0, 2, [3, 0, 0]),
    "classes too few": setting("moments", 0, 2, [1, 0]),
    "evaluated on nothing known": setting("evaluated_on", "<script>"),
    "fewer epochs than there are": setting("epochs", 1),
    "another model": setting("about", "activation", "relu"),
    "no zlib": dict(packed=lambda stream: b"abc" + stream),
    "cut off": dict(packed=lambda stream: stream[:-3]),
    "a wrong checksum": dict(packed=lambda stream: stream[:-1]
                             + bytes([stream[-1] ^ 1])),
    "more behind it": dict(packed=lambda stream: stream + b"x"),
    "a number too few": dict(content=lambda numbers: numbers[:-2]),
    "a gigabyte": dict(content=lambda numbers: numbers + bytes(10 ** 8),
                       packed=lambda stream: stream * 10),
    "a number that is infinite": dict(content=lambda n: n[:-2] + HALF_INFINITE)}


def is_refused(path, about, words="no moments of this model ("):
    with pytest.raises(DataError) as caught:
        load_recording(path, about)
    message = str(caught.value)
    return (message.startswith(f"{path}: found {words}") and "\n" not in message
            and "expected the moments of the model beside it" in message)


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused_in_one_line(change, recording, file):
    rewrite(file, **change)
    assert is_refused(file, recording.about)


@pytest.mark.parametrize("content", [
    b"", b"[]\n", b"{}\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"x" * (3 << 20)],
    ids=lambda content: f"{len(content)} bytes")
def test_what_is_no_such_file_is_refused(content, recording, file, tmp_path):
    file.write_bytes(content)
    assert is_refused(file, recording.about)
    assert is_refused(tmp_path, recording.about, "Is a directory")


def test_damaged_bytes_do_no_harm(recording, file, rng, request):
    whole = file.read_bytes()
    for _ in range(request.config.getoption("--fuzz") // 10):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(rng.choice((600, len(whole))))] = rng.randrange(256)
        file.write_bytes(damaged[:rng.choice((len(whole), rng.randrange(len(whole))))])
        try:
            found = load_recording(file, recording.about)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert found.about == recording.about
            assert all(len(row) == len(MEASURED) for row in found.history)


# --- the shipped one

def test_the_shipped_moments_are_those_of_the_shipped_model():
    path, model = ROOT / "data" / MOMENTS, Model.load(ROOT / "data" / "model.npz")
    assert path.stat().st_size < 1_000_000
    found = load_recording(path, about_run(model.network, model.levels, model.names,
                                           model.data))
    assert found.moments[-1].numbers == pack(model.network)
    assert found.epochs == len(found.history) == found.moments[-1].epoch
    assert found.history[-1][3] == model.accuracy
    assert [moment.name for moment in found.moments[:4]] == [
        "start", "128 images", "1,024 images", "10,016 images"]
    accuracies = [sum(m.correct) / sum(m.counts) for m in found.moments]
    assert accuracies[-1] == pytest.approx(model.accuracy)
    assert accuracies[0] < 0.2 < accuracies[1] < 0.6 < accuracies[3] < accuracies[-1]
    assert moments.MARKS == (0, 100, 1000, 10000)
