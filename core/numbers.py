"""Reads numbers as people and engines write them, kept exactly or not at all.

A double keeps whole numbers up to 2^53 and 15 to 17 digits; more than that would be changed without a word. A comma
is a decimal point in Russia and a separator of thousands elsewhere: what can be read both ways is refused.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from core.texts import BilingualError, Text

EXACT_WHOLE = 2**53  # IEEE 754: below it a double stands for one whole number, from here on for several
_MOST_DIGITS = 400

_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_BOTH_WAYS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
# One separator between groups of three, and the other kind (or none) before the fraction.
_GROUPED = (
    (re.compile(r"[+-]?[1-9][0-9]{0,2}(?: [0-9]{3})+(?:[.,][0-9]+)?"), " "),
    (re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+\.[0-9]+|[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3}){2,}"), ","),
    (re.compile(r"[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+|[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}"), "."),
)
_SPACES = str.maketrans(dict.fromkeys("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}", " "))


class NumberError(BilingualError, ValueError):
    """The text is no number, or none that can be kept exactly; the error's text says what would be one."""


def read(written: str) -> int | float:
    """Return the number in a text. Whole numbers come as int, of any length.

    Read are `125000`, `125000.50`, `1,5`, `125 000,50`, `125,000.50`, `1.25e5`. Raises NumberError for no number, for
    one that has two readings (`1,250`), and for one with more digits than a double keeps.
    """
    text = written.strip().translate(_SPACES)
    if len(text) > _MOST_DIGITS:
        raise NumberError(
            Text(f"a number of at most {_MOST_DIGITS} characters", f"число не длиннее {_MOST_DIGITS} знаков")
        )
    if _BOTH_WAYS.fullmatch(text):
        point, whole = text.replace(",", "."), text.replace(",", "")
        raise NumberError(
            Text(
                f"a clear number: it may mean {point} or {whole}; write it so",
                f"однозначное число: это может быть {point} или {whole}; запишите так",
            )
        )
    if _PLAIN.fullmatch(text):
        return _kept(Decimal(text), exponent="e" in text.lower())
    for pattern, separator in _GROUPED:
        if pattern.fullmatch(text):
            return _kept(Decimal(text.replace(separator, "").replace(",", ".")))
    if _DECIMAL_COMMA.fullmatch(text):
        return _kept(Decimal(text.replace(",", ".")))
    raise NumberError(Text("a number", "число"))


def whole(number: float) -> int:
    """Return the number as int.

    Raises NumberError for a fraction, and for a double that stands for many whole numbers.
    """
    if isinstance(number, int):
        return number
    if not number.is_integer():
        raise NumberError(Text("a whole number", "целое число"))
    if abs(number) >= EXACT_WHOLE:
        raise NumberError(
            Text(
                f"an exact whole number: a double keeps those below {EXACT_WHOLE}; send it as Long or as text",
                f"точное целое число: double хранит меньшие {EXACT_WHOLE}; передайте его как Long или текстом",
            )
        )
    return int(number)


def shown(number: float) -> str:
    """Return all digits, no exponent, and no `.0` behind a whole number: `125000`, `0.00000015`."""
    digits = format(Decimal(repr(number)), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def of_double(number: float) -> int | float:
    """Return a whole number as int if it is certain which one is meant; any other number as it is."""
    return int(number) if number.is_integer() and abs(number) < EXACT_WHOLE else number


def _kept(number: Decimal, *, exponent: bool = False) -> int | float:
    if not exponent and number == number.to_integral_value():
        return int(number)
    as_double = float(number)
    if not math.isfinite(as_double):
        raise NumberError(Text("a number below 1.8e308", "число меньше 1.8e308"))
    if Decimal(repr(as_double)) != number:
        raise NumberError(
            Text(
                "a number that a double keeps: it has more than 15 digits",
                "число, которое double хранит точно: в этом больше 15 цифр",
            )
        )
    return of_double(as_double)
