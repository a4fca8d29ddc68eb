"""Exercise 8: loss and gradient of a network without a hidden layer."""
from my_network import (dense, loss_backward, matmul, mean_loss, softmax, sum_rows,
                        transpose)


def simple_loss_and_gradient(network, X, labels):
    """Return the mean loss of a batch, and its slopes [dW, db]."""
    W, b = network
    P = softmax(dense(X, W, b))
    dZ = loss_backward(P, labels)
    return mean_loss(P, labels), [matmul(transpose(X), dZ), sum_rows(dZ)]


network = [[[0.5, -0.5], [0.2, 0.1], [-0.3, 0.4]], [[0.0, 0.0]]]
X, labels = [[1.0, 0.5, 0.0], [0.0, 1.0, 0.5]], [0, 1]

loss, gradient = simple_loss_and_gradient(network, X, labels)
print(f"{loss:.4f}")
for slopes in gradient:
    for row in slopes:
        print(*(f"{slope:.4f}" for slope in row))
