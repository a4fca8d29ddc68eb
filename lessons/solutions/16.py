"""Exercise 16: how far a dithered sum is from what it should be."""
import math
import random


def largest_distance(ts, v=0.3):
    """Return the largest |sum of floor(v + t) - n v| over the first n of the ts."""
    total = largest = 0
    for n, t in enumerate(ts, 1):
        total += math.floor(v + t)
        largest = max(largest, abs(total - v * n))
    return largest


rng = random.Random(1)
print(f"golden {largest_distance([0.618034 * n % 1 for n in range(1, 1001)]):.2f}")
print(f"random {largest_distance([rng.random() for n in range(1, 1001)]):.2f}")
