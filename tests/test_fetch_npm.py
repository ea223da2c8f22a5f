"""Pinned files out of an npm tarball, from a real server on a free port instead of the registry."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sixfold import fetch
from sixfold.errors import IntegrityError, SixfoldError
from sixfold.fetch import NpmPackage, PinnedFile, npm

WORDS = b"one\ntwo\n"
PATH = "/toy-words/-/toy-words-1.0.tgz"
FILES = (PinnedFile("package/dict/words.txt", hashlib.sha256(WORDS).hexdigest(), len(WORDS), "words.txt"),)


class Registry:
    """What it serves by path, and which paths were asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                content = outer.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def registry(tmp_path, monkeypatch) -> Iterator[Registry]:
    found = Registry()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    for name in [name for name in os.environ if "proxy" in name.lower() or name.lower() == "npm_config_registry"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", found.address + "/")
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def tarball(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(f"package/{member}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def toy(version: str = "1.0") -> NpmPackage:
    return NpmPackage("toy-words", version, FILES, "MIT")


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_the_pinned_members_are_unpacked(registry):
    registry.files[PATH] = tarball({"package.json": b"{}", "install.js": b"boom", "dict/words.txt": WORDS})
    folder = fetch.get(toy(), "words/toy")
    assert everything(folder) == [".complete", "words.txt"]
    assert (folder / "words.txt").read_bytes() == WORDS
    fetch.get(toy(), "words/toy", verify=True)
    assert registry.asked == [PATH]


def test_other_bytes_than_the_pinned_ones_leave_nothing_behind(registry):
    registry.files[PATH] = tarball({"dict/words.txt": b"six\nten\n"})
    with pytest.raises(IntegrityError) as caught:
        fetch.get(toy(), "words/toy")
    assert hashlib.sha256(WORDS).hexdigest() in str(caught.value)
    assert list((fetch.home() / "words").iterdir()) == []


def test_a_page_instead_of_a_tarball_is_told_as_damaged(registry):
    registry.files[PATH] = b"<html>please log in</html>"
    with pytest.raises(IntegrityError, match="damaged"):
        fetch.get(toy(), "words/toy")


def test_an_unknown_release_says_what_the_server_said_and_how_to_do_without(registry):
    with pytest.raises(SixfoldError) as caught:
        fetch.get(toy("9.9"), "words/toy")
    assert caught.value.what == "the package npm:toy-words@9.9 could not be downloaded"
    assert caught.value.found == "HTTP 404 Not Found"
    assert "npm pack toy-words@9.9" in caught.value.hint
    assert str(fetch.home() / "downloads") in caught.value.hint


def test_a_registry_that_does_not_answer_is_a_sentence(registry, monkeypatch):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    with pytest.raises(SixfoldError) as caught:
        fetch.get(toy(), "words/toy")
    assert "refused" in caught.value.found


@pytest.mark.parametrize("address", ["file:///etc", "https://user:secret@127.0.0.1:9", "nonsense"])
def test_a_registry_that_cannot_be_used_is_refused_without_showing_it(registry, monkeypatch, address):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
    with pytest.raises(SixfoldError) as caught:
        fetch.get(toy(), "words/toy")
    assert caught.value.found.startswith("the registry that is set for npm")
    assert "secret" not in str(caught.value)


def test_a_tarball_that_the_user_brought_needs_no_registry(registry):
    downloads = fetch.home() / "downloads"
    downloads.mkdir(parents=True)
    (downloads / "toy-words-1.0.tgz").write_bytes(tarball({"dict/words.txt": WORDS}))
    assert (fetch.get(toy(), "words/toy") / "words.txt").read_bytes() == WORDS
    assert registry.asked == []


def test_a_tarball_without_end_is_cut_off(registry, monkeypatch):
    monkeypatch.setattr(npm, "MAX_TARBALL_BYTES", 1000)
    registry.files[PATH] = os.urandom(5000)
    with pytest.raises(SixfoldError) as caught:
        fetch.get(toy(), "words/toy")
    assert caught.value.found == "the tarball is larger than 1,000 bytes"


def test_npm_s_own_settings_hold_where_the_environment_names_no_registry(registry, monkeypatch, tmp_path):
    monkeypatch.delenv("NPM_CONFIG_REGISTRY")
    script = tmp_path / "bin" / "npm"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\n[ \"$*\" = 'config get registry' ] && echo {registry.address}/\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    assert npm.configured_registry(tmp_path) == registry.address
    script.unlink()
    assert npm.configured_registry(tmp_path) == npm.REGISTRY


def test_importing_fetch_brings_no_http():
    code = "import sys, sixfold.fetch; print({'urllib.request', 'ssl'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
