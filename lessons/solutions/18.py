"""Exercise 18: which changes of order leave the weights as they are."""
import random

import my_fast
from my_network import load, new_network

right = my_fast.train_batch


def reversed_batch(network, images, labels, rate):
    """Take a step with the images in the opposite order."""
    return right(network, images[::-1], labels[::-1], rate)


def trained(images, labels, train_batch=right):
    """Return [rows, W2, b2] after two epochs."""
    my_fast.train_batch = train_batch
    rng = random.Random(1)
    network = my_fast.pack(new_network(784, 16, 10, rng))
    for _ in range(2):
        my_fast.train_epoch(network, images, labels, 0.1, 10, rng)
    return network


images, labels = load("data/sample", "t10k")
images, labels = [my_fast.ink(image) for image in images[:300]], labels[:300]

first = trained(images, labels)
second = trained([image[::-1] for image in images], labels)
third = trained(images, labels, reversed_batch)
print("ink reversed:", [a == b for a, b in zip(first, second)])
print("batches reversed:", [a == b for a, b in zip(first, third)])

# dW2 = A1^T dZ2 and db2 are sums of floats over the images of a batch.  Rounding the
# steps of the rows to multiples of 2^-40 hides the difference, until one of them falls
# on the other side of a half.
