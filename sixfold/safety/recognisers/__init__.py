"""The table of recognisers. A row each: ``chinese.py``, ``western.py``, ``internet.py``; what a row is: ``row.py``."""

from __future__ import annotations

from sixfold.safety.recognisers.chinese import CHINESE
from sixfold.safety.recognisers.internet import INTERNET
from sixfold.safety.recognisers.row import Recogniser
from sixfold.safety.recognisers.western import WESTERN

ROWS: tuple[Recogniser, ...] = (*CHINESE, *WESTERN, *INTERNET)
"""Of two that score and reach the same, the first one counts."""
