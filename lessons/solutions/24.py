"""Exercise 24: how much of the spread the first directions hold."""
import math

from my_network import add_row, dot, forward, load, sum_rows, transpose
from my_shipped import shipped


def direction(A):
    """Return the direction of length 1 along which the rows of A spread the most."""
    v, columns = [1.0] * len(A[0]), transpose(A)
    for _ in range(30):
        places = [dot(row, v) for row in A]
        v = [dot(column, places) for column in columns]
        length = math.sqrt(dot(v, v))
        v = [x / length for x in v]
    return v


images, labels = load("data/sample", "t10k")
_, A, _ = forward(shipped(), images[:200])
A = add_row(A, [[-total / len(A) for total in sum_rows(A)[0]]])
spread, held = sum(dot(row, row) for row in A), 0
for number in range(1, 21):
    v = direction(A)
    places = [dot(row, v) for row in A]
    held += dot(places, places) / spread
    A = [[a - place * x for a, x in zip(row, v)] for row, place in zip(A, places)]
    if number in (1, 2, 5, 10, 20):
        print(f"{number:2} directions: {held:.0%}")
