"""Training: data sets, recipes, the loop, and checkpoints. The command line is ``python -m sw.train``."""
