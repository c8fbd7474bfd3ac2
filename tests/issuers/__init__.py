"""Tests of other authorization servers."""
