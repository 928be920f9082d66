"""How fast and how large: tables printed by ``python -m benchmarks``."""
