"""The benchmark of combination strategies on survey microdata; run it with `make bench-combination`."""
