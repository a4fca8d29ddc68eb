"""Exercise 26: moved images, with and without centring."""
from my_network import accuracy, load
from my_picture import normalise
from my_shipped import shipped


def moved(image, n):
    """Return the rows of an image, moved n pixels to the right."""
    rows = [image[i:i + 28] for i in range(0, 784, 28)]
    return [[0] * n + row[:28 - n] for row in rows]


network = shipped()
images, labels = load("data/sample", "t10k")
images, labels = images[:50], labels[:50]
for n in range(5):
    rows = [moved(image, n) for image in images]
    as_they_are = [sum(image, []) for image in rows]
    centred = list(map(normalise, rows))
    print(f"by {n}: {accuracy(network, as_they_are, labels):.0%},",
          f"centred again: {accuracy(network, centred, labels):.0%}")
