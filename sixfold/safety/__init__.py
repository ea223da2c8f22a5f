"""Personal data: find it, put something else in its place, restore it. Patterns need no model and no torch."""

from __future__ import annotations

from sixfold.safety.entity import TYPES, Entity
from sixfold.safety.find import find
from sixfold.safety.policy import Policy
from sixfold.safety.stream import Masked, StreamMasker, mask
from sixfold.safety.vault import Vault

__all__ = ["TYPES", "Entity", "Masked", "Policy", "StreamMasker", "Vault", "find", "mask"]
