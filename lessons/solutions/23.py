"""Exercise 23: dropout on a network that has no unit to spare."""
import random

from my_network import (accuracy, dense, loss_backward, matmul, new_network, relu,
                        relu_backward, softmax, step, sum_rows, transpose)
from tiny import tiny_digits


def gradient_with_dropout(network, X, labels, p, rng):
    """Return the slopes of the loss where each unit is left out with a chance of p."""
    W1, b1, W2, b2 = network
    A1 = [[a * (rng.random() >= p) / (1 - p) for a in row]
          for row in relu(dense(X, W1, b1))]
    dZ2 = loss_backward(softmax(dense(A1, W2, b2)), labels)
    dA1 = [[d / (1 - p) for d in row] for row in matmul(dZ2, transpose(W2))]
    dZ1 = relu_backward(dA1, A1)
    return [matmul(transpose(X), dZ1), sum_rows(dZ1),
            matmul(transpose(A1), dZ2), sum_rows(dZ2)]


def train(p, seed):
    """Return the accuracy on 500 images after training on 60 others."""
    rng, masks = random.Random(seed), random.Random(seed)
    images, labels = tiny_digits(60, rng)
    tests, test_labels = tiny_digits(500, rng)
    network = new_network(35, 16, 10, rng)
    for epoch in range(40):
        for start in range(0, 60, 10):
            X, y = images[start:start + 10], labels[start:start + 10]
            step(network, gradient_with_dropout(network, X, y, p, masks), 0.1)
    return accuracy(network, tests, test_labels)


for p in 0, 0.2, 0.5:
    print(f"dropout {p:<3}", *(f"{train(p, seed):.1%}" for seed in (1, 2, 3)))
# 8 of 16 units are too few for ten digits: each is needed, and none can stand in for
# another.
