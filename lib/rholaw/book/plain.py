"""Numbers as pages and figures write them: without an exponent."""

import numpy as np


def plain(value: float, digits: int = 2) -> str:
    """A number with so many significant digits: 0.000029, 1,200,000, −10; "nan" and "inf" stay."""
    text = np.format_float_positional(float(f"{value:.{digits}g}"), trim="-")
    whole, point, rest = text.removeprefix("-").partition(".")
    return "−" * text.startswith("-") + (f"{int(whole):,}" if whole.isdigit() else whole) + point + rest
