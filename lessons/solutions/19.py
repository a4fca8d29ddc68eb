"""Exercise 19: images that are moved by a pixel at most."""
import random

from my_bending import affine_map, bend
from my_fast import accuracy, ink, pack, train_epoch
from my_network import load, new_network

images, labels = load("data/sample", "train")
tests, test_labels = load("data/sample", "t10k")
images, labels = images[:300], labels[:300]
plain, tests = list(map(ink, images)), list(map(ink, tests))

maps = [affine_map(0, 1, 0, right, down) for right in (-1, 0, 1) for down in (-1, 0, 1)]
rng = random.Random(1)
network = pack(new_network(784, 32, 10, rng))
for epoch in range(30):
    seen = [ink(bend(image, maps[int(9 * rng.random())])) for image in images]
    loss = train_epoch(network, seen, labels, 0.1, 10, rng)
print(f"moved        loss {loss:.3f}, training {accuracy(network, plain, labels):.1%},",
      f"test {accuracy(network, tests, test_labels):.1%}")
