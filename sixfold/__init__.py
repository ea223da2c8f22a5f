"""Sixfold takes a language model through its whole life on hardware that a team owns."""

__version__ = "0.1.0"
