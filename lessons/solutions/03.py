"""Exercise 3: a neuron for a stroke that falls from the upper left."""
from my_network import dense

falling = [1, 0, 0,  0, 1, 0,  0, 0, 1]
rising  = [0, 0, 1,  0, 1, 0,  1, 0, 0]
black   = [1, 1, 1,  1, 1, 1,  1, 1, 1]
empty   = [0, 0, 0,  0, 0, 0,  0, 0, 0]
upright = [0, 1, 0,  0, 1, 0,  0, 1, 0]

seeks_falling = [1, -1, -1,  -1, 1, -1,  -1, -1, 1]

X = [falling, rising, black, empty, upright]
W = [[w] for w in seeks_falling]
b = [[-2]]

for z in dense(X, W, b):
    print(z)
