"""English contractions and what they stand for. No file is read."""

from __future__ import annotations

_NOT = (
    *("is", "are", "was", "were", "do", "does", "did", "have", "has", "had"),
    *("could", "would", "should", "must", "need", "might"),
)
_PRONOUNS = {
    "am": ["I"],
    "are": ["you", "we", "they"],
    "is": ["he", "she", "it", "that", "there", "what", "who", "where"],
    "have": ["I", "you", "we", "they"],
    "will": ["I", "you", "he", "she", "it", "we", "they", "that", "there"],
    "would": ["I", "you", "he", "she", "we", "they"],
}
_ENDINGS = {"am": "'m", "are": "'re", "is": "'s", "have": "'ve", "will": "'ll", "would": "'d"}

CONTRACTED: dict[str, str] = {
    **{f"{verb} not": f"{verb}n't" for verb in _NOT},
    "cannot": "can't",
    "can not": "can't",
    "will not": "won't",
    **{
        f"{pronoun} {verb}".lower(): (pronoun + _ENDINGS[verb]).lower()
        for verb, pronouns in _PRONOUNS.items()
        for pronoun in pronouns
    },
    "let us": "let's",
}
"""Small letters. What stands in full, to its contraction."""

EXPANDED: dict[str, str] = {
    # 'd is had or would, and "let's" is an invitation that "let us" is not: neither is spelt out.
    contraction: full
    for full, contraction in reversed(CONTRACTED.items())
    if not contraction.endswith("'d") and contraction != "let's"
}
"""Small letters. The contraction, to what it stands for; ``can't`` to ``cannot``."""

HAS_FOLLOWS = frozenset(["been", "got", "had", "become", "gone", "taken", "made", "done", "come", "seen"])
"""Behind these, ``it's`` is "it has"."""
