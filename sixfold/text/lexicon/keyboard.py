"""Which keys lie beside a key of an English (QWERTY) keyboard, from where the keys are. No file is read."""

from __future__ import annotations

_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
"""The letters of a row, and how far it is shifted to the right, in widths of a key."""
_DIGITS = "1234567890"


def _neighbours() -> dict[str, str]:
    places = {key: (shift + place, row) for row, (keys, shift) in enumerate(_ROWS) for place, key in enumerate(keys)}

    def touching(key: str) -> str:
        x, y = places[key]
        found = []
        for other, (other_x, other_y) in places.items():
            if other != key and abs(x - other_x) <= 1 and abs(y - other_y) <= 1:
                found.append(((x - other_x) ** 2 + (y - other_y) ** 2, other))
        return "".join(other for _, other in sorted(found))

    letters = {key: touching(key) for key in places}
    return letters | {
        digit: _DIGITS[max(place - 1, 0) : place] + _DIGITS[place + 1 : place + 2]
        for place, digit in enumerate(_DIGITS)
    }


NEIGHBOURS = _neighbours()
"""Small letter or digit to the keys that touch it, nearest first. A letter's are letters, a digit's are digits."""
