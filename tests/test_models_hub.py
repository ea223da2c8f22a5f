"""The hub, played by a server on this machine: only data files are asked for, and pins hold there too."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest

COMMIT = "1" * 40
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": (2).to_bytes(8, "little") + b"{}",
    "vocab.txt": b"[PAD]\n",
    "pytorch_model.bin": b"a pickle",
    "modeling_own.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
}


class Hub(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        name = path.partition(f"/resolve/{COMMIT}/")[2]
        if name in FILES:
            type(self).asked.append(name)
            self.reply(FILES[name], ETag=f'"{hashlib.sha1(FILES[name]).hexdigest()}"')
        elif path.startswith("/api/models/owner/name/revision/"):
            rows = [{"rfilename": name} for name in FILES]
            self.reply(json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": rows}).encode())
        elif path.startswith("/api/models/owner/name/tree/"):
            rows = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in FILES.items()
            ]
            self.reply(json.dumps(rows).encode())
        else:
            self.reply(b"", status=404)

    do_HEAD = do_GET  # noqa: N815 (the names that http.server asks for)

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path) -> Iterator[dict[str, str]]:
    """The environment for a process that shall see the server as the hub."""
    Hub.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    there = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
        "SIXFOLD_HOME": str(tmp_path / "home"),
        "no_proxy": "127.0.0.1",
    }
    yield {**os.environ, **there}
    server.shutdown()
    server.server_close()


def run(code: str, hub: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=hub, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_data_files_of_a_hub_model_are_asked_for(hub):
    code = """
        import os
        from sixfold.models import resolve
        source = resolve("hf:owner/name")
        print(source.kind, sorted(os.listdir(source.folder)))
    """
    assert run(code, hub) == "hub ['config.json', 'model.safetensors', 'vocab.txt']\n"
    assert set(Hub.asked) == {"config.json", "model.safetensors", "vocab.txt"}


def test_a_pinned_file_of_the_hub_is_checked_like_any_other(hub):
    content = FILES["vocab.txt"]
    code = f"""
        from sixfold import fetch
        from sixfold.errors import IntegrityError
        def pinned(sha256):
            return fetch.Hub("owner/name", "{COMMIT}", (fetch.PinnedFile("vocab.txt", sha256, {len(content)}),))
        folder = fetch.get(pinned("{hashlib.sha256(content).hexdigest()}"), "data/good")
        print(sorted(path.name for path in folder.iterdir()))
        try:
            fetch.get(pinned("0" * 64), "data/bad")
        except IntegrityError as error:
            print(error.what)
        print((fetch.home() / "data" / "bad").exists())
    """
    assert run(code, hub).splitlines() == [
        "['.complete', 'vocab.txt']",
        f"vocab.txt of hf:owner/name@{COMMIT[:12]} is not the file that was pinned",
        "False",
    ]
