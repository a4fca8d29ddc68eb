"""My own network: it learns to read handwritten digits."""
import gzip
import json
import math
import random
import sys
import time


def dot(u, v):
    """Return u[0] * v[0] + u[1] * v[1] + ..."""
    total = 0
    for a, b in zip(u, v):
        total += a * b
    return total


def transpose(A):
    """Return A^T: the columns of A as rows."""
    return [list(column) for column in zip(*A)]


def matmul(A, B):
    """Return the matrix product A B."""
    columns = transpose(B)
    return [[dot(row, column) for column in columns] for row in A]


def add_row(A, b):
    """Return A with the one row of b added to each of its rows."""
    return [[x + y for x, y in zip(row, b[0])] for row in A]


def sum_rows(A):
    """Return a matrix of one row: the sum of all rows of A."""
    return matmul([[1] * len(A)], A)


def dense(X, W, b):
    """Return Z = X W + b: each row of X weighed by each neuron, a column of W."""
    return add_row(matmul(X, W), b)


def relu(Z):
    """Return Z with 0 in place of each number below 0."""
    return [[max(z, 0) for z in row] for row in Z]


def random_matrix(rows, columns, scale, rng):
    """Return a matrix of random numbers around 0 whose typical size is scale."""
    return [[rng.gauss(0, scale) for _ in range(columns)] for _ in range(rows)]


def forward(network, X):
    """Return Z1, A1 and the logits Z2 of the images X."""
    W1, b1, W2, b2 = network
    Z1 = dense(X, W1, b1)
    A1 = relu(Z1)
    Z2 = dense(A1, W2, b2)
    return Z1, A1, Z2


def softmax(Z):
    """Return e^z / (sum of e^z of its row) for each logit z: probabilities."""
    P = []
    for row in Z:
        top = max(row)                      # taken off, so that no e^z is too large
        powers = [math.exp(z - top) for z in row]
        total = sum(powers)
        P.append([power / total for power in powers])
    return P


def mean_loss(P, labels):
    """Return the mean of -log P[i][y] over the images i with their labels y."""
    chosen = [max(row[y], 1e-300) for row, y in zip(P, labels)]     # log 0 is no number
    return -sum(math.log(p) for p in chosen) / len(P)


def loss_backward(P, labels):
    """Return dZ2 = (P - Y) / m, where Y has 1 for the label of each image, else 0."""
    return [[(p - (k == y)) / len(P) for k, p in enumerate(row)]
            for row, y in zip(P, labels)]


def relu_backward(dA, Z):
    """Return dZ: dA where Z is above 0, else 0."""
    return [[d if z > 0 else 0 for d, z in zip(d_row, row)]
            for d_row, row in zip(dA, Z)]


def loss_and_gradient(network, X, labels):
    """Return the mean loss of a batch, and its slope in each parameter."""
    W1, b1, W2, b2 = network
    Z1, A1, Z2 = forward(network, X)
    P = softmax(Z2)
    dZ2 = loss_backward(P, labels)
    dW2, db2 = matmul(transpose(A1), dZ2), sum_rows(dZ2)
    dZ1 = relu_backward(matmul(dZ2, transpose(W2)), Z1)
    dW1, db1 = matmul(transpose(X), dZ1), sum_rows(dZ1)
    return mean_loss(P, labels), [dW1, db1, dW2, db2]


def slope_by_trial(network, X, labels, row, j, t=1e-5):
    """Return the slope of the loss in row[j], where row belongs to the network."""
    old = row[j]
    row[j] = old + t
    above = mean_loss(softmax(forward(network, X)[2]), labels)
    row[j] = old - t
    below = mean_loss(softmax(forward(network, X)[2]), labels)
    row[j] = old
    return (above - below) / (2 * t)


def largest_error(network, X, labels):
    """Return the largest difference between a slope and the same by trial."""
    largest = 0
    for matrix, slopes in zip(network, loss_and_gradient(network, X, labels)[1]):
        for row, slope_row in zip(matrix, slopes):
            for j, slope in enumerate(slope_row):
                trial = slope_by_trial(network, X, labels, row, j)
                largest = max(largest, abs(slope - trial))
    return largest


def step(network, gradient, rate):
    """Take rate times its slope off each parameter of the network."""
    for matrix, slopes in zip(network, gradient):
        for row, slope_row in zip(matrix, slopes):
            for j, slope in enumerate(slope_row):
                row[j] -= rate * slope


def train_epoch(network, images, labels, rate, size, rng):
    """Learn from all images once, in batches of size; return the mean loss."""
    order = list(range(len(images)))
    rng.shuffle(order)
    total = 0
    for start in range(0, len(order), size):
        batch = order[start:start + size]
        X, y = [images[i] for i in batch], [labels[i] for i in batch]
        loss, gradient = loss_and_gradient(network, X, y)
        step(network, gradient, rate)
        total += loss * len(batch)
    return total / len(order)


def predict(network, images):
    """Return the class with the largest logit for each image."""
    return [row.index(max(row)) for row in forward(network, images)[2]]


def accuracy(network, images, labels):
    """Return the share of images whose predicted class is their label."""
    hits = sum(p == y for p, y in zip(predict(network, images), labels))
    return hits / len(labels)


def new_network(inputs, hidden, outputs, rng):
    """Return an untrained network: weights by He's rule, biases 0."""
    return [random_matrix(inputs, hidden, math.sqrt(2 / inputs), rng), [[0] * hidden],
            random_matrix(hidden, outputs, math.sqrt(2 / hidden), rng), [[0] * outputs]]


GREYS = [byte / 255 for byte in range(256)]


def read_images(path):
    """Return the images of an IDX file, each a list of numbers from 0 to 1."""
    with gzip.open(path) as file:
        data = file.read()
    count, height, width = (int.from_bytes(data[i:i + 4], "big") for i in (4, 8, 12))
    size = height * width
    return [[GREYS[byte] for byte in data[start:start + size]]
            for start in range(16, 16 + count * size, size)]


def read_labels(path):
    """Return the labels of an IDX file."""
    with gzip.open(path) as file:
        return list(file.read()[8:])


def load(folder, name):
    """Return images and labels of a data set, name being "train" or "t10k"."""
    return (read_images(f"{folder}/{name}-images-idx3-ubyte.gz"),
            read_labels(f"{folder}/{name}-labels-idx1-ubyte.gz"))


def main(folder, hidden, epochs):
    """Train a network on the images in a folder; write it to network.json."""
    images, labels = load(folder, "train")
    test_images, test_labels = load(folder, "t10k")
    rng = random.Random(1)
    network = new_network(784, hidden, 10, rng)
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(network, images, labels, 0.1, 10, rng)
        seconds = time.perf_counter() - start
        share = accuracy(network, test_images, test_labels)
        print(f"epoch {epoch}: loss {loss:.3f}, test {share:.1%}, {seconds:.1f} s")
        with open("network.json", "w") as file:
            json.dump(network, file)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
