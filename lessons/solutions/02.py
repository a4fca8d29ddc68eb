"""Exercise 2: take the mean of each column off that column."""
from my_network import add_row, sum_rows


def center(A):
    """Return A less the mean of each column."""
    sums = sum_rows(A)[0]
    return add_row(A, [[-total / len(A) for total in sums]])


A = [[1, 10],
     [2, 20],
     [6, 60]]

print(center(A))
print(sum_rows(center(A)))
