"""How fast personas are, against peers in the same run: `make bench-serving`."""
