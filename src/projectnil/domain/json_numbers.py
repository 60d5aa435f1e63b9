"""Numbers of JSON by their exact decimal value: within the limits of what is stored, in their shortest spelling."""

import re
from typing import Any

NUMBER_DIGITS = 1_000
# A short number with a large exponent is stored in few bytes and read back as that many digits.
NUMBER_EXPONENT = 400

# Beyond these, a number is spelled with an exponent where that is shorter, as JavaScript does.
_MOST_PLAIN_DIGITS = 21
_MOST_PLAIN_ZEROS = 5
_NEARLY_ZERO = ("0.000000", "-0")
_is_fraction = re.compile(r"-?[0-9]{1,20}\.[0-9]{1,40}").fullmatch
_SHORTEST = re.compile(r"-?(?:0\.(?!000000)[0-9]{0,40}[1-9]|[1-9][0-9]{0,20}\.[0-9]{0,40}[1-9])")


_EXPONENT = re.compile("[eE]")
_PARTS = re.compile(r"(-?+)([0-9]++)(?:\.([0-9]++))?+(?:[eE]\+?(-?+)0*+([0-9]*+))?+").fullmatch

# For the common case: a fraction that has its shortest spelling already.
is_shortest = _SHORTEST.fullmatch


class UnstorableNumber(Exception):
    """str() says what is wrong with the number, to go on from its name or path."""


def shortest(number: str) -> str:
    """The one spelling of a number's value: `1.0` is `1`, `2.5e2` is `250`, `-0` is `0`; no digit is lost.

    Whole numbers from 1e21 and fractions below 1e-6 have an exponent where that is shorter: `1e21`, `1.5e-7`, but
    `1234567890123456789012`. number: one that check_number has passed.
    """
    if _is_fraction(number) and not number.startswith(_NEARLY_ZERO):
        return number.rstrip("0").rstrip(".")
    sign, whole, fraction, is_small, exponent = _parts(number)
    written = (whole + fraction).lstrip("0")
    digits = written.rstrip("0")
    if not digits:
        return "0"
    # The value is `digits` times ten to this power.
    power = int(f"{is_small}{exponent or 0}") - len(fraction) + len(written) - len(digits)
    return sign + _spell(digits, power)


def check_number(number: str) -> int:
    """How many digits its exponent adds when it is written out.

    Raises UnstorableNumber when it has too many digits, or would have then.
    """
    if len(number) > NUMBER_DIGITS:
        mantissa = _EXPONENT.split(number, 1)[0]
        if len(mantissa) - mantissa.startswith("-") > NUMBER_DIGITS:
            raise UnstorableNumber(f"has more than {NUMBER_DIGITS} digits")
    # It may be long: only a short one becomes an integer.
    exponent = _parts(number)[4]
    if len(exponent) > 4 or int(exponent or 0) > NUMBER_EXPONENT:
        raise UnstorableNumber(f"has an exponent beyond {NUMBER_EXPONENT}")
    return int(exponent or 0)


def _parts(number: str) -> tuple[str | Any, ...]:
    """Its sign, the digits before its point, those after it; its exponent's sign, and the exponent's digits without
    zeros before them. Each may be empty."""
    found = _PARTS(number)
    if found is None:
        raise ValueError(f"not a number of JSON: {number[:100]!r}")
    return found.groups("")


def unsigned_zero(number: str) -> str:
    """The number as it is spelled, but without the sign of a zero, which JSONB does not hold."""
    return number[1:] if number.startswith("-") and not number.partition("e")[0].strip("-0.") else number


def _spell(digits: str, power: int) -> str:
    point = len(digits) + power  # how many of the digits stand before it
    if point > _MOST_PLAIN_DIGITS:
        return min(_plain(digits, power, point), _with_exponent(digits, point), key=len)
    return _plain(digits, power, point) if point >= -_MOST_PLAIN_ZEROS else _with_exponent(digits, point)


def _plain(digits: str, power: int, point: int) -> str:
    if power >= 0:
        return digits + "0" * power
    return f"{digits[:point]}.{digits[point:]}" if point > 0 else f"0.{'0' * -point}{digits}"


def _with_exponent(digits: str, point: int) -> str:
    return f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{point - 1}"
