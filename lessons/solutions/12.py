"""Exercise 12: how many of each digit, and how much paper."""
from my_network import read_images, read_labels

images = read_images("data/sample/t10k-images-idx3-ubyte.gz")
labels = read_labels("data/sample/t10k-labels-idx1-ubyte.gz")

print([labels.count(digit) for digit in range(10)])
paper = sum(image.count(0) for image in images)
print(f"{paper / (len(images) * 784):.1%}")
