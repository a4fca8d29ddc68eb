"""Exercise 9: which matrix gives a mistake away."""
import random

import my_network
from my_network import loss_and_gradient, random_matrix, slope_by_trial


def error_by_matrix(network, X, labels):
    """Return the largest error of the slopes of each matrix."""
    errors = []
    for matrix, slopes in zip(network, loss_and_gradient(network, X, labels)[1]):
        errors.append(max(abs(slope - slope_by_trial(network, X, labels, row, j))
                          for row, slope_row in zip(matrix, slopes)
                          for j, slope in enumerate(slope_row)))
    return errors


rng = random.Random(1)
network = [random_matrix(3, 4, 0.8, rng), [[0.1] * 4],
           random_matrix(4, 2, 0.7, rng), [[0.1] * 2]]
X, labels = [[1.0, 0.5, 0.0], [0.0, 1.0, 0.5]], [0, 1]

broken = {
    "relu_backward": lambda dA, Z: dA,
    "loss_backward": lambda P, labels: [[p - (k == y) for k, p in enumerate(row)]
                                        for row, y in zip(P, labels)],
    "sum_rows": lambda A: [A[0]]}

for name, wrong in broken.items():
    right = getattr(my_network, name)
    setattr(my_network, name, wrong)
    errors = error_by_matrix(network, X, labels)
    setattr(my_network, name, right)
    verdicts = ["ok" if error < 1e-8 else "WRONG" for error in errors]
    print(name, *(f"{matrix} {verdict}" for matrix, verdict
                  in zip(("W1", "b1", "W2", "b2"), verdicts)))

# The walk back starts at dZ2 and ends at dW1: a mistake spoils what comes after it on
# that way.  The gate comes late, (P - Y) / m first; the sum of rows serves biases only.
