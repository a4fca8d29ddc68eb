"""Exercise 1: a matrix product as three loops, and its multiplications."""


def matmul_loops(A, B):
    """Return A B and the number of multiplications."""
    m, n, p = len(A), len(B), len(B[0])
    C = [[0] * p for _ in range(m)]
    count = 0
    for i in range(m):
        for j in range(p):
            for k in range(n):
                C[i][j] += A[i][k] * B[k][j]
                count += 1
    return C, count


A = [[3, 1, 0],
     [2, 2, 4]]
B = [[2, 3],
     [5, 4],
     [1, 2]]

C, count = matmul_loops(A, B)
print(C, count)
print(32 * 784 * 128)       # m n p: once for each i, each j and each k
