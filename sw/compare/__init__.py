"""Methods side by side: each trained under one budget and measured. The command line is ``python -m sw.compare``."""
