"""The benchmark, ``python -m hw.bench``: designs, bare arrays and peers, measured with the same tools in one run."""
