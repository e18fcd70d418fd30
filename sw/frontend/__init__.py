"""From trained networks to graphs: one module for each form in which they come. Those of PyTorch import it."""
