"""Draw the figures of the lessons into lessons/figures/.

    python lessons/draw_figures.py                  # all but weights and maps: 4 s
    python lessons/draw_figures.py relu xor         # these
    python lessons/draw_figures.py weights          # from my_network.py's network.json
    python lessons/draw_figures.py maps             # 1 minute
"""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "figures"), str(HERE / "solutions")]

import better
import fast
import runs
import schemes

FIGURES = [schemes.product, schemes.broadcasting, schemes.neuron, schemes.layer,
           schemes.xor, schemes.relu, schemes.forward, schemes.softmax, schemes.chain,
           schemes.weight, schemes.backward, schemes.slope, runs.rates, runs.spread,
           runs.idx, fast.zeros, fast.ladder, fast.lanes, fast.dither, fast.packed,
           fast.exchange, better.bending, better.schedules, better.valley, better.adam,
           better.optimizers, better.dropout, better.units, better.techniques,
           better.mistakes, better.normalised, better.fooling]


# Drawn only by name: they need a trained network, or depend on the Python version.
BY_NAME = [runs.weights, better.maps]


def main(names):
    """Draw the figures of these names, or all of FIGURES."""
    for figure in FIGURES + BY_NAME:
        if figure.__name__ in names or not names and figure in FIGURES:
            figure()


if __name__ == "__main__":
    main(sys.argv[1:])
