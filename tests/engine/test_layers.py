"""engine.layers: sums against plain whole numbers, every lane up to its limit.

Steps of ordinary size are compared with the textbook's in test_packed_network.py, and
their bits are frozen in test_team.py.
"""
import math
from fractions import Fraction

import pytest

from engine.activations import Elementwise, Relu
from engine.fixed_point import (DITHERS, NARROW, SMOOTH, WIDE, Deltas, dithers,
                                format_for)
from engine.lanes import LaneOverflowError, lanes_of
from engine.layers import FirstLayer, LaterLayer
from my_math import Matrix

FORMATS = {"narrow": NARROW, "wide": WIDE, "smooth": SMOOTH}
every_format = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
packed_formats = pytest.mark.parametrize("form", [NARROW, WIDE], ids=["narrow", "wide"])


def random_matrix(rng, m, n, reach=1.0):
    return Matrix([[rng.uniform(-reach, reach) for _ in range(n)] for _ in range(m)])


def images_of(rng, count, pixels, density=0.4):
    return [bytes(rng.randrange(256) if rng.random() < density else 0
                  for _ in range(pixels)) for _ in range(count)]


def levels_in(image, levels):
    """The grey levels 0..levels - 1 of an image, nearest first."""
    return [math.floor(Fraction(v * (levels - 1), 255) + Fraction(1, 2)) for v in image]


# --- formats

@pytest.mark.parametrize("change, narrow", [
    ({}, True), ({"levels": 2}, True), ({"hidden": [1024]}, True),
    ({"step_size": 0.0023}, True), ({"step_size": 0.0021}, False),
    ({"levels": 5}, False), ({"hidden": [1025]}, False), ({"hidden": []}, False),
    ({"hidden": [16, 16]}, False), ({"plain": False}, False)])
def test_narrow_lanes_are_taken_where_they_do(change, narrow):
    usual = {"hidden": [128], "activation": "relu", "levels": 4, "step_size": 0.01,
             "plain": True}
    assert (format_for(**{**usual, **change}).lanes == 24) == narrow
    assert format_for(**{**usual, **change, "activation": "tanh"}) == SMOOTH


@pytest.mark.parametrize("units", [1, 256, 257, 512, 800, 1024])
def test_sums_of_narrow_products_fit_whatever_the_numbers(units):
    form = format_for([units], "relu", 4, 0.01, True)
    largest_weight = 8 << form.factor_fraction
    assert units * 1023 * largest_weight < 1 << 31
    assert largest_weight <= 1 << 13


# --- rounding

@pytest.mark.parametrize("bits, count", [(24, 3), (24, 130), (64, 4)])
@pytest.mark.parametrize("shift", [0, 1, 2, 5, 6, 7, 8, 11, 20])
def test_the_mean_over_all_dithers_is_exact_in_every_lane(shift, bits, count):
    """sum over t of floor((v + t) / 2^s) = 64 v / 2^s, wherever that is whole, and less
    than 1 off where there are more values than dithers."""
    lanes = lanes_of(count, bits)
    values = [lanes.decode(row - lanes.bias) for row in dithers(lanes, shift)]
    assert len(values) == DITHERS
    for lane in zip(*values):
        assert 0 <= min(lane) <= max(lane) < 1 << shift
        assert sum(lane) * 2 == DITHERS * ((1 << shift) - 1)    # mean (2^s - 1) / 2
        for v in (0, 1, -1, 77, -12345, 9 << shift, (1 << shift) // 3):
            rounded = sum(v + t >> shift for t in lane)
            assert abs(rounded - Fraction(DITHERS * v, 1 << shift)) < 1
    if shift and count > 3:                 # no two lanes in the same order, mostly
        assert len({tuple(lane) for lane in zip(*values)}) > count / 2


@every_format
@pytest.mark.parametrize("levels", [2, 4, 256])
@pytest.mark.parametrize("step_size", [0.35 / 32, 0.1 / 32, 1.0, 20.0, 1e-4, 1e-7,
                                       1e-30])
def test_one_image_takes_as_many_steps_as_wanted_where_there_is_room(
        form, levels, step_size):
    deltas = Deltas.of(step_size, levels, form)
    assert deltas.scale == step_size / (levels - 1) ** 2 * 2.0 ** deltas.fraction
    shift = deltas.fraction + form.factor_fraction - form.fraction
    assert 0 <= shift <= form.lanes - 4
    if 0 < shift < form.lanes - 4:
        assert 0.5 <= (deltas.scale / 2 ** form.resolution) ** 2 < 2


# --- the first layer

def whole_weights(layer):
    return [list(layer.lanes.decode(row)) for row in layer.weights.rows]


@packed_formats
@pytest.mark.parametrize("levels", [2, 4, 256])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_sums_over_the_pixels_of_all_workers_are_exact(form, levels, workers, rng):
    if form is NARROW and levels == 256:
        levels = 3
    weights, bias = random_matrix(rng, 150, 7, 0.5), random_matrix(rng, 1, 7)
    images = images_of(rng, 9, 150)
    layers = [FirstLayer(weights, bias, levels, form, slice(rank, None, workers))
              for rank in range(workers)]
    parts = [layer.sums([layer.quantizer(image[rank::workers]) for image in images])
             for rank, layer in enumerate(layers)]
    rows = [None] * 150
    for rank, layer in enumerate(layers):
        rows[rank::workers] = whole_weights(layer)
    unit = (levels - 1) / 2 ** form.fraction
    assert all(abs(v * unit - w) <= unit / 2 for row, true in zip(rows, weights)
               for v, w in zip(row, true))
    offset = layers[0].lanes.decode(layers[0].bias.rows[0])
    for image, z in zip(images, layers[0].joined(parts)):
        grey = levels_in(image, levels)
        assert layers[0].lanes.decode(z) == tuple(
            sum(map(int.__mul__, grey, column)) + b
            for column, b in zip(zip(*rows), offset))


def one_weight_layer(value, form, pixels=1, levels=4):
    return FirstLayer(Matrix([[0.0, value, 0.0]] * pixels), Matrix.zeros(1, 3), levels,
                      form)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_narrow_weight_above_6_is_noticed(sign):
    one_weight_layer(sign * 5.9, NARROW)
    with pytest.raises(LaneOverflowError, match="weight of the first layer above 6"):
        one_weight_layer(sign * 6.1, NARROW)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("pixels", range(1, 785, 29))
@pytest.mark.parametrize("weight", [0.1, 1.4, 5.9])
def test_a_narrow_sum_is_right_or_noticed(sign, pixels, weight):
    """Of any size: also where it is so large that it would look small again."""
    layer = one_weight_layer(sign * weight, NARROW, pixels)
    true = pixels * 3 * layer.lanes.decode(layer.weights.rows[0])[1]
    group = [layer.quantizer(b"\xff" * pixels)]
    if abs(true) < 64 << 16:
        z, = layer.joined([layer.sums(group)])
        assert layer.lanes.decode(z) == (0, true, 0)
    else:
        with pytest.raises(LaneOverflowError):
            layer.joined([layer.sums(group)])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("workers", range(2, 17))
def test_the_sum_over_workers_is_right_or_noticed(sign, workers):
    layer = one_weight_layer(0.0, NARROW)
    for value in (5, 20, 40, 63):
        part = [layer.lanes.encode([0, sign * (value << 16), 1])]
        if value * workers < 64:
            z, = layer.joined([part] * workers)
            assert layer.lanes.decode(z) == (0, sign * (value << 16) * workers, workers)
        else:
            with pytest.raises(LaneOverflowError):
                layer.joined([part] * workers)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("step", [1, 100, 5000, 60000, 300000])
def test_steps_beyond_a_narrow_lane_are_noticed(sign, step):
    """A weight and a bias pushed the same way for ever: exact up to the end."""
    layer = one_weight_layer(0.0, NARROW)
    row, image = layer.lanes.encode([0, sign * step, 0]), [layer.quantizer(b"\x55")]
    weight = 0
    with pytest.raises(LaneOverflowError, match="first layer"):
        for count in range(1, 10 ** 6):
            layer.take(image, [(0, row)] * 9, 9 * step)
            weight += 9 * sign * step
            assert layer.lanes.decode(layer.weights.rows[0]) == (0, weight, 0)
            assert abs(weight) * 9 < 1 << 23
    assert abs(weight) + 27 * step >= 2 << 16       # not long before


# --- between layers

@packed_formats
@pytest.mark.parametrize("lane", [0, 2])
def test_an_activation_beyond_its_bytes_is_noticed(form, lane):
    lanes = lanes_of(3, form.lanes)
    drop = form.fraction - form.activation_fraction
    reach = 1 << drop + form.activation_bits
    relu = Relu(lanes, form)
    for value in (reach - (1 << drop), reach - (1 << drop - 1) - 1, -reach, 1 - reach):
        row = [0, 0, 0]
        row[lane] = value
        relu.forward([lanes.encode(row)])
    for value in (reach - (1 << drop - 1), reach, reach * 3 // 2):
        row[lane] = value
        with pytest.raises(LaneOverflowError, match="activation"):
            relu.forward([lanes.encode([0, 0, 0]), lanes.encode(row)])


@pytest.mark.parametrize("z", [64, -65, 10 ** 5])
def test_sums_beyond_the_table_are_noticed(z):
    lanes = lanes_of(2, 64)
    with pytest.raises(LaneOverflowError):
        Elementwise(lanes, SMOOTH, "tanh").forward([lanes.encode([0, z << 40])])


# --- later layers

def later_layer(rng, form, inputs=12, outputs=5, levels=4, reach=1.0):
    layer = LaterLayer(random_matrix(rng, inputs, outputs, reach),
                       random_matrix(rng, 1, outputs), form,
                       lanes_of(inputs, form.lanes), levels - 1,
                       64 << form.activation_fraction)
    layer.prepare()
    return layer


def whole_columns(layer):
    return [list(layer.lanes.decode(row)) for row in layer.weights.rows]


@packed_formats
@pytest.mark.parametrize("sign", [1, -1])
def test_a_later_weight_beyond_its_limit_is_noticed(form, sign, rng):
    """Steps that push one weight the same way for ever: exact up to the end."""
    layer = later_layer(rng, form, 2, 1, reach=0.0)
    one, weight = layer._limit // 900, 0        # a hundredth of the limit, over 9
    step = layer.lanes.encode([0, sign * one])
    fraction = form.later_fraction - form.activation_fraction
    with pytest.raises(LaneOverflowError, match="a weight of a later layer above"):
        for _ in range(1000):
            layer.take([step], [0], fraction, one // layer._largest + 1)
            weight += 9 * sign * one
            assert whole_columns(layer) == [[0, weight]]
            layer.prepare()
    assert layer._limit / 2 <= abs(weight) <= layer._limit * 1.02


@packed_formats
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sum_of_a_later_layer_fits_with_its_bias(form, sign):
    """256 units at their largest, weights and bias at their limits, all of one sign."""
    inputs, low = 256, (1 << form.activation_bits) - 1
    raw = low.to_bytes(form.activation_bytes, "little") * inputs
    for bias, fits in ((63.99, True), (64.01, False)):
        weight = 7.99 if form is NARROW else 5.0
        layer = LaterLayer(Matrix([[sign * weight] * 2] * inputs),
                           Matrix([[sign * bias] * 2]), form,
                           lanes_of(inputs, form.lanes), 3, low)
        if not fits:
            with pytest.raises(LaneOverflowError, match="a bias of a later layer"):
                layer.prepare()
            continue
        layer.prepare()
        (z, _), = layer.outputs(layer.forward([raw]), 1)
        largest = low / 2 ** form.activation_fraction
        assert z / 2 ** form.product_fraction == pytest.approx(
            sign * (inputs * largest * weight + bias), rel=1e-3)


@packed_formats
def test_a_step_that_would_jump_over_the_limit_is_noticed(form, rng):
    layer = later_layer(rng, form)
    with pytest.raises(LaneOverflowError, match="a step of a later layer"):
        layer.take([0] * 5, [0] * 5, 0, 1 << form.later_lanes - 8)
    first = one_weight_layer(0.0, form)
    with pytest.raises(LaneOverflowError, match="a step of the first layer"):
        first.take([], [], 1 << form.lanes - 2)
