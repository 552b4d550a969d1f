"""Numbers of pages have no exponent, a minus and not a hyphen, and commas between thousands."""

import math

import pytest

from rholaw.book import plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((2.94e-5, "0.000029"), (0.0, "0"), (0.1, "0.1"), (0.996, "1"), (8, "8")),
        *((1.24e6, "1,200,000"), (999.9, "1,000"), (-10, "−10"), (-4e-4, "−0.0004")),
        *((math.nan, "nan"), (math.inf, "inf"), (-math.inf, "−inf")),
    ],
)
def test_two_digits(value, text):
    assert plain(value) == text


def test_more_digits():
    assert (plain(123456.7, 6), plain(0.0001234, 3)) == ("123,457", "0.000123")
