"""What takes an entity's place, by policy; pseudonyms; the vault that restores."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold.errors import DataError, SixfoldError, UsageError
from sixfold.safety import Policy, StreamMasker, Vault, find, mask
from sixfold.safety.pseudonyms import _MAKERS, pseudonym
from sixfold.safety.recognisers import ROWS
from sixfold.text.language import has_han

KEY = b"0123456789abcdef0123456789abcdef"
OTHER = b"fedcba9876543210fedcba9876543210"
TEXT = "Call +44 20 7946 0958 or write to bob@mail.example.com. 我的电话是13800138000，身份证11010519491231002X。"
NOW = 1_800_000_000.0


def test_the_policies() -> None:
    assert mask("mail bob@x.org", "label").text == "mail [EMAIL]"
    assert mask("mail bob@x.org", "redact").text == "mail [REDACTED]"
    assert mask("mail bob@x.org", "keep").text == "mail bob@x.org"
    assert mask("mail bob@x.org", "partial").text == "mail b***@x.org"
    assert mask("电话13800138000", "partial").text == "电话********000"
    assert mask("卡号6222021234567890128", "partial").text == "卡号***************0128"
    assert mask("密码：abc12345，", "partial").text == "密码：***，"
    assert re.fullmatch(r"mail \[EMAIL#[0-9a-f]{16}\]", mask("mail bob@x.org", "hash", key=KEY).text)


def test_a_type_may_have_its_own_policy_and_others_can_be_left_out() -> None:
    policy = Policy("label", {"phone": "partial"})
    assert mask("bob@x.org 13800138000", policy).text == "[EMAIL] ********000"
    assert mask("bob@x.org 13800138000", types=["phone"]).text == "bob@x.org [PHONE]"
    with pytest.raises(UsageError) as error:
        mask("x", types=["emial"])
    assert error.value.nearest == "email"


def test_the_entities_point_into_the_text_that_was_given() -> None:
    found = mask(TEXT, "pseudonym", key=KEY)
    assert [TEXT[one.start : one.end] for one in found.entities] == [
        "+44 20 7946 0958",
        "bob@mail.example.com",
        "13800138000",
        "11010519491231002X",
    ]
    assert all(one.reason for one in found.entities)


def test_the_same_value_gets_the_same_under_a_key_and_another_under_another() -> None:
    for policy in ("hash", "pseudonym"):
        one = mask("a@b.co and a@b.co and c@d.co", policy, key=KEY).text.split(" and ")
        assert one[0] == one[1] != one[2]
        assert mask("a@b.co", policy, key=KEY).text == one[0]
        assert mask("a@b.co", policy, key=OTHER).text != one[0]


@pytest.mark.parametrize("policy", ["hash", "pseudonym"])
def test_what_needs_a_key_says_so(policy: str) -> None:
    with pytest.raises(UsageError, match="needs a key"):
        mask("x", policy)
    with pytest.raises(UsageError, match="at least 16 bytes"):
        mask("x", policy, key=b"short")


VALUES = [
    (row.type, found)
    for row in ROWS
    for example in row.examples
    for found in re.findall("«(.*?)»", example, re.DOTALL)
    if row.type in _MAKERS
]


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_a_pseudonym_is_of_the_same_type_and_language(kind: str, value: str) -> None:
    made = pseudonym(KEY, kind, value)
    assert made is not None
    assert made != value
    assert has_han(made) == has_han(value)
    for row in ROWS:
        if row.type == kind and row.check and not row.ends and row.regex.fullmatch(value) and row.check(value):
            assert any(one.regex.fullmatch(made) and one.check and one.check(made) for one in ROWS if one.type == kind)


def test_a_pseudonym_is_found_again_where_its_value_stood() -> None:
    made = mask(TEXT, "pseudonym", key=KEY)
    assert [one.type for one in find(made.text)] == [one.type for one in made.entities]


def test_names_keep_their_language() -> None:
    for kind, value in [
        ("person", "王小明"),
        ("person", "Mary Ann Smith"),
        ("place", "Leeds"),
        ("organisation", "北京大学"),
    ]:
        made = pseudonym(KEY, kind, value)
        assert made is not None
        assert has_han(made) == has_han(value)
    assert len(str(pseudonym(KEY, "person", "王小明"))) >= 3


def test_a_secret_has_no_pseudonym_but_a_digest() -> None:
    assert re.fullmatch(r"密码：\[SECRET#\w{16}\]", mask("密码：abc12345", "pseudonym", key=KEY).text)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.create(tmp_path / "vault", KEY, days=1, now=NOW)


@pytest.mark.parametrize("policy", ["hash", "pseudonym"])
def test_a_vault_restores_the_text_to_the_letter(policy: str, vault: Vault) -> None:
    masked = mask(TEXT, policy, key=KEY, vault=vault).text
    assert "13800138000" not in masked
    vault.save()
    again = Vault.open(vault.path, KEY, now=NOW + 80_000)
    assert again.restored(masked) == (TEXT, 4)
    assert mask(TEXT, policy, key=KEY, vault=again).text == masked


values = st.sampled_from(
    ["a@b.co", "13800138000", "10.0.0.7", "AB 12 34 56 C", "«", "see ", "，", "10.0.0.71", "https://x.org/a"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=8), st.sampled_from(["hash", "pseudonym"]))
def test_restoring_undoes_masking(parts: list[str], policy: str) -> None:
    text = " ".join(parts)
    vault = _open_vault()
    assert vault.restored(mask(text, policy, key=KEY, vault=vault).text)[0] == text


def _open_vault() -> Vault:
    """Without the slow derivation of its key: nothing is written."""
    return Vault(Path("nowhere"), NOW, NOW, b"", b"")


def test_two_values_never_share_a_token() -> None:
    vault = _open_vault()
    tokens = {vault.token("ip", f"1.1.1.{n}", lambda turn: f"10.0.0.{turn}") for n in range(40)}
    assert len(tokens) == 40
    with pytest.raises(DataError, match="no more pseudonyms for ip"):
        [vault.token("ip", f"1.1.2.{n}", lambda turn: f"10.0.0.{turn}") for n in range(40)]


def test_a_token_inside_a_longer_number_is_left() -> None:
    vault = _open_vault()
    vault.token("ip", "1.2.3.4", lambda turn: "10.0.0.7")
    assert vault.restored("10.0.0.7 10.0.0.71 110.0.0.7") == ("1.2.3.4 10.0.0.71 110.0.0.7", 1)


def test_the_file_tells_nothing(vault: Vault) -> None:
    mask(TEXT, "pseudonym", key=KEY, vault=vault)
    vault.save()
    content = vault.path.read_bytes()
    assert b"13800138000" not in content
    assert b"bob" not in content
    assert vault.path.stat().st_mode & 0o077 == 0
    assert "13800138000" not in repr(vault)


def test_a_wrong_key_restores_nothing_and_tells_nothing(vault: Vault) -> None:
    mask(TEXT, "hash", key=KEY, vault=vault)
    vault.save()
    with pytest.raises(UsageError, match="does not open the vault") as error:
        Vault.open(vault.path, OTHER, now=NOW)
    assert "13800138000" not in str(error.value)
    assert error.value.__cause__ is None


def test_an_expired_vault_restores_nothing(vault: Vault) -> None:
    mask(TEXT, "hash", key=KEY, vault=vault)
    vault.save()
    with pytest.raises(UsageError, match="has expired"):
        Vault.open(vault.path, KEY, now=NOW + 86_400)


def test_a_longer_lifetime_written_into_the_header_opens_nothing(vault: Vault) -> None:
    mask(TEXT, "hash", key=KEY, vault=vault)
    vault.save()
    magic, header, rest = vault.path.read_bytes().split(b"\n", 2)
    changed = json.dumps({**json.loads(header), "expires": NOW * 2}).encode()
    vault.path.write_bytes(b"\n".join([magic, changed, rest]))
    with pytest.raises(UsageError, match="does not open the vault"):
        Vault.open(vault.path, KEY, now=NOW)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"sixfold-vault-1\n{}\n" + b"x" * 40, b"sixfold-vault-1\nnot json\n" + b"x" * 40]
)
def test_a_file_that_is_no_vault_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(DataError, match="no vault, or it is damaged"):
        Vault.open(tmp_path / "v", KEY)


def test_a_vault_that_is_not_there_or_there_already_is_told(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        Vault.open(tmp_path / "no", KEY)
    vault.save()
    with pytest.raises(UsageError, match="already"):
        Vault.create(vault.path, KEY, days=1)
    with pytest.raises(UsageError, match="more than 0 days"):
        Vault.create(tmp_path / "new", KEY, days=0)


@pytest.mark.parametrize("policy", ["label", "redact", "partial"])
def test_what_cannot_be_restored_is_refused_with_a_vault(policy: str, vault: Vault) -> None:
    with pytest.raises(UsageError, match="cannot be restored"):
        StreamMasker(policy, key=KEY, vault=vault)


def test_every_error_is_ours() -> None:
    with pytest.raises(SixfoldError):
        mask("x", "no such policy")
