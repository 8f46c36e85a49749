"""Economics: distributions, optimal taxes and welfare."""
