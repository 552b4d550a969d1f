"""`rholaw data`."""

from .. import tables
from ..command_line import Parser, tell


def data(arguments: list[str], prog: str = "rholaw data") -> int:
    """The tables of data/: checked, changed, added to; returns the exit code, 1 when a table or a file is refused."""
    examples = f"  {prog} check\n  {prog} update runs/quest2025\n  {prog} add-fidelity mine.csv"
    parser = Parser(prog, tables.__doc__.splitlines()[0], examples)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="hold every table against its manifest")
    commands.add_parser("update", help="record a changed table in its manifest").add_argument("name")
    added = commands.add_parser("add-fidelity", help="add measurements of what compression cost to the atlas")
    added.add_argument("file", help="a CSV with the columns of data/fidelity/atlas.csv")
    chosen, refused = parser.parse_args(arguments), 0
    if chosen.command == "add-fidelity":
        from ..fidelity import entries

        names = ["fidelity/atlas"]
        print(f"added    {entries.add(chosen.file)} rows")
    else:
        names = tables.names() if chosen.command == "check" else [chosen.name]
    for name in names:
        try:
            about = tables.update(name) if chosen.command == "update" else tables.manifest(name)
            print(f"ok       {name}: {about.kind}, {len(tables.read(name))} rows")
        except ValueError as error:
            refused = 1
            tell("refused ", error)
    return refused
