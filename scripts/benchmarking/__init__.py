"""What scripts/benchmark.py is made of: poses, peers, scores, clocks, tables."""
