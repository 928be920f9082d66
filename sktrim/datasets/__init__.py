"""Data to try explanations on, simulated so that the answer is known."""
