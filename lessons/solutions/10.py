"""Exercise 10: few images many times, and many images a few times."""
import random

from my_network import accuracy, random_matrix, train_epoch
from tiny import tiny_digits


def run(count, epochs):
    """Train on count images and print the accuracy on them and on 500 others."""
    rng = random.Random(2)
    images, labels = tiny_digits(count, rng)
    test_images, test_labels = tiny_digits(500, rng)
    network = [random_matrix(35, 16, 0.25, rng), [[0] * 16],
               random_matrix(16, 10, 0.35, rng), [[0] * 10]]
    for _ in range(epochs):
        train_epoch(network, images, labels, 0.1, 10, rng)
    print(f"{count} images, {epochs} epochs:",
          f"training {accuracy(network, images, labels):.1%},",
          f"test {accuracy(network, test_images, test_labels):.1%}")


run(30, 40)
run(300, 4)
