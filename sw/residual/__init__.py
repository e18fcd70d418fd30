"""Networks whose shortcuts are words of several bits, compiled for the engine with post-processing units."""
