"""Exercise 5: the number of parameters of a network."""
import random

from my_network import random_matrix


def parameters(network):
    """Return how many numbers there are in the matrices of the network."""
    return sum(len(row) for matrix in network for row in matrix)


rng = random.Random(1)
for hidden in 32, 128:
    network = [random_matrix(784, hidden, 0.05, rng), [[0] * hidden],
               random_matrix(hidden, 10, 0.05, rng), [[0] * 10]]
    print(parameters(network))
