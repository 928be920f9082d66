"""What a trained network uses, in terms you understand."""

__version__ = "0.1.0.dev0"
