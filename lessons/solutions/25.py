"""Exercise 25: more and smaller steps, on images that are moved by a pixel."""
import subprocess
import sys
import tempfile

COMMAND = ("train.py --data data/sample --limit 1000 --epochs 5 --no-plots "
           "--batch-size 4 --learning-rate 0.1 --augment shift")

with tempfile.TemporaryDirectory() as folder:
    words = [sys.executable, *COMMAND.split(), "--output", f"{folder}/run"]
    run = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
print(next(line for line in run.stdout.splitlines() if " test images " in line))
