"""My network, with each row of the first layer in one integer."""
import random
import struct
import sys
import time

from my_network import (dense, load, loss_backward, matmul, mean_loss, new_network,
                        relu, relu_backward, softmax, step, sum_rows, transpose)

ONE = 2 ** 40                       # a weight of 1.0
HALF = 2 ** 63                      # the bias of a lane of 64 bits


def bias(count):
    """Return HALF in each of count lanes."""
    return int.from_bytes(struct.pack("<Q", HALF) * count, "little")


def to_row(numbers):
    """Return numbers, rounded to multiples of 1 / ONE, as a row in one integer."""
    digits = [round(x * ONE) + HALF for x in numbers]
    data = struct.pack(f"<{len(digits)}Q", *digits)
    return int.from_bytes(data, "little") - bias(len(digits))


def to_numbers(row, count):
    """Return the count numbers of a row."""
    data = (row + bias(count)).to_bytes(8 * count, "little")
    return [(digit - HALF) / ONE for digit in struct.unpack(f"<{count}Q", data)]


def ink(image):
    """Return the places of an image's ink, and 784, the place of the bias."""
    return [k for k, x in enumerate(image) if x > 0.5] + [len(image)]


def pack(network):
    """Return [rows, W2, b2]: row k belongs to pixel k, the last one is b1."""
    W1, b1, W2, b2 = network
    return [[to_row(numbers) for numbers in W1 + b1], W2, b2]


def forward(network, images):
    """Return Z1, A1 and the logits Z2 of images, which are lists of places."""
    rows, W2, b2 = network
    Z1 = [to_numbers(sum([rows[k] for k in image]), len(W2)) for image in images]
    A1 = relu(Z1)
    return Z1, A1, dense(A1, W2, b2)


def train_batch(network, images, labels, rate):
    """Take one step; return the mean loss before it."""
    rows, W2, b2 = network
    Z1, A1, Z2 = forward(network, images)
    P = softmax(Z2)
    dZ2 = loss_backward(P, labels)
    dZ1 = relu_backward(matmul(dZ2, transpose(W2)), Z1)
    step([W2, b2], [matmul(transpose(A1), dZ2), sum_rows(dZ2)], rate)
    for image, slopes in zip(images, dZ1):
        change = to_row([-rate * slope for slope in slopes])
        for k in image:
            rows[k] += change
    return mean_loss(P, labels)


def train_epoch(network, images, labels, rate, size, rng):
    """Learn from all images once, in batches of size; return the mean loss."""
    order = list(range(len(images)))
    rng.shuffle(order)
    total = 0
    for start in range(0, len(order), size):
        batch = order[start:start + size]
        total += len(batch) * train_batch(network, [images[i] for i in batch],
                                          [labels[i] for i in batch], rate)
    return total / len(order)


def accuracy(network, images, labels):
    """Return the share of images whose predicted class is their label."""
    logits = forward(network, images)[2]
    return sum(row.index(max(row)) == y for row, y in zip(logits, labels)) / len(labels)


def main(folder, hidden, epochs):
    """Train a network on the images in a folder."""
    (images, labels), (tests, test_labels) = load(folder, "train"), load(folder, "t10k")
    images, tests = list(map(ink, images)), list(map(ink, tests))
    rng = random.Random(1)
    network = pack(new_network(784, hidden, 10, rng))
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(network, images, labels, 0.1, 10, rng)
        seconds = time.perf_counter() - start
        share = accuracy(network, tests, test_labels)
        print(f"epoch {epoch}: loss {loss:.3f}, test {share:.1%}, {seconds:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
