"""Exercise 11: start values without a ReLU: n s^2 = 1, so s = sqrt(1 / n)."""
import math
import random

from my_network import matmul, random_matrix

rng = random.Random(1)
A = random_matrix(20, 100, 1, rng)
for layer in range(1, 11):
    A = matmul(A, random_matrix(100, 100, math.sqrt(1 / 100), rng))
    size = sum(a * a for row in A for a in row) / (20 * 100)
    print(f"{layer:5} {size:10.2f}")
