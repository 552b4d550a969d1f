"""`rholaw formats` and `rholaw gmse`."""

from ..checked import separated, shown
from ..command_line import Parser, add_output, show


def list_formats(arguments: list[str], prog: str) -> None:
    """The formats with a name, a row each."""
    examples = f"  {prog}\n  {prog} fp4\n  {prog} --json"
    parser = Parser(prog, "The formats that have a name: their spelling, stored bits per weight and source.", examples)
    parser.add_argument("part", nargs="?", default="", help="only names that contain this text")
    add_output(parser)
    chosen = parser.parse_args(arguments)

    import pandas as pd

    from ..formats.named import catalogue

    rows = [
        {"name": name, "format": str(format), "bits": format.bits, "source": format.source}
        for name, format in catalogue().items()
        if chosen.part.lower() in name
    ]
    if not rows:
        raise ValueError(f"no name of a format contains {shown(chosen.part)}; {prog} lists all")
    show(pd.DataFrame(rows), chosen)


def gmse(arguments: list[str], prog: str) -> None:
    """The error of formats on one source, a row each."""
    examples = f'  {prog} nvfp4 "2:4+int4/g128"\n  {prog} int4, int3 --source "student-t(5)" --csv'
    description = "The mean squared error of formats on data of unit variance, and their stored bits per weight."
    parser = Parser(prog, description, examples)
    parser.add_argument("formats", nargs="+", metavar="FORMAT", help="a name such as nvfp4, or a composition")
    parser.add_argument("--source", default="normal", help="normal (the default), laplace, logistic, student-t(5)")
    add_output(parser)
    chosen = parser.parse_args(arguments)

    import pandas as pd

    from ..error.measure import gmse as measure
    from ..formats.grammar import parse

    rows, formats = [], {name: parse(name) for name in separated(",".join(chosen.formats), "nvfp4, int4/g128")}
    for name, format in formats.items():
        measured = measure(format, chosen.source, progress=True)
        rows.append({"format": name, "bits": format.bits})
        rows[-1] |= {"gmse": measured.value, "stderr": measured.stderr}
        rows[-1] |= {"method": measured.method, "samples": measured.n, "weights": measured.weights}
    show(pd.DataFrame(rows), chosen)
