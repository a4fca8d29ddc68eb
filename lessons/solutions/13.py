"""Exercise 13: the most frequent confusions.

    python lessons/solutions/13.py                 a small network, trained here
    python lessons/solutions/13.py network.json    the one of my_network.py
"""
import json
import random
import sys
from collections import Counter

from my_network import load, new_network, predict, train_epoch


def confusions(network, images, labels):
    """Return ((label, answer), how often) of the five most frequent errors."""
    pairs = zip(labels, predict(network, images))
    return Counter(pair for pair in pairs if pair[0] != pair[1]).most_common(5)


if len(sys.argv) > 1:
    with open(sys.argv[1]) as file:
        network = json.load(file)
else:
    images, labels = load("data/sample", "train")
    network = new_network(784, 8, 10, random.Random(1))
    train_epoch(network, images[:500], labels[:500], 0.1, 10, random.Random(1))

for (label, answer), count in confusions(network, *load("data/sample", "t10k")):
    print(f"{label} taken for {answer}: {count} times")
