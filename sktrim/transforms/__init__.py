"""Transforms of signals into coefficients, with their inverses: NumPy in and out."""
