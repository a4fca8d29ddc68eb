"""Exercise 14: the loop over k outermost, zeros skipped."""


def matmul_kij(A, B):
    """Return A B and the number of multiplications that it took."""
    C, count = [[0] * len(B[0]) for _ in A], 0
    for k, b_row in enumerate(B):
        for a_row, c_row in zip(A, C):
            if a_row[k] == 0:
                continue
            for j, b in enumerate(b_row):
                c_row[j] += a_row[k] * b
                count += 1
    return C, count


A = [[1, 0, 2],
     [0, 0, 3]]
B = [[5, 6], [7, 8], [9, 1]]

C, count = matmul_kij(A, B)
print(C, count, len(A) * len(B[0]) * len(B))
