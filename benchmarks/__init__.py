"""Ours beside its peers on one machine, in one run, as ratios.  `make bench`; see README.md."""
