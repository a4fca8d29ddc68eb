"""Draw the figures of the lessons into lessons/figures/.

    python lessons/draw_figures.py                  # all but the weights: 3 s
    python lessons/draw_figures.py relu xor         # these
    python lessons/draw_figures.py weights          # from my_network.py's network.json
"""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "figures"), str(HERE / "solutions")]

import runs
import schemes

FIGURES = [schemes.product, schemes.broadcasting, schemes.neuron, schemes.layer,
           schemes.xor, schemes.relu, schemes.forward, schemes.softmax, schemes.chain,
           schemes.weight, schemes.backward, schemes.slope, runs.rates, runs.spread,
           runs.idx]


def main(names):
    """Draw the figures of these names, or all that need no trained network."""
    for figure in (*FIGURES, runs.weights):
        if figure.__name__ in names or not names and figure is not runs.weights:
            figure()


if __name__ == "__main__":
    main(sys.argv[1:])
