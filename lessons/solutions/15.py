"""Exercise 15: a dot product by one multiplication of two integers."""
from my_lanes import decode, encode


def dot_by_one_product(u, v, base):
    """Return u[0] * v[0] + u[1] * v[1] + ...: the middle lane of a product."""
    n = len(u)
    product = encode(u, base) * encode(v[::-1], base)
    return decode(product, 2 * n - 1, base)[n - 1]


print(dot_by_one_product([1, 2, 3], [4, 5, 6], 1000),
      dot_by_one_product([1, -2, 3, -4], [7, 0, -7, 1], 1000))
