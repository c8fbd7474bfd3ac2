"""Composition root: Config → listeners, planes, store; the one file that knows all others."""
