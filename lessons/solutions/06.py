"""Exercise 6: how hard two losses push when the network is certain and wrong."""
import math

from my_network import softmax


def losses(z):
    """Return -log p and (1 - p)^2 for class 1: its logit is z, that of class 0 is 8."""
    p = softmax([[8, z]])[0][1]
    return -math.log(p), (1 - p) ** 2


for before, after in zip(losses(0), losses(0.001)):
    print(round((after - before) / 0.001, 4))

# -log p pushes with nearly the full -1.  The square hardly pushes at all: p is so small
# that a change of z hardly changes it.  Such a network would stay wrong for long.
