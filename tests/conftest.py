"""Every test runs without a network: a name that would be looked up fails at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the module's own; a module asks for it with ``pytestmark``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIXFOLD_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def base(own_home: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder."""
    from tiny import tiny_encoder  # after the environment above

    return tiny_encoder(tmp_path_factory.mktemp("bases") / "tiny")
