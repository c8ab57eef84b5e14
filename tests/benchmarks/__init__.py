"""The judges of the benchmarks can say "guilty"."""
