"""What a command prints, as a page shows it."""

import pytest

from rholaw.book import console


def test_a_command_is_shown_with_what_it_prints():
    lines = console.printed(
        "rholaw predict --measured q4_k=0.03 --measured q3_k=0.15 --formats nvfp4"
    ).data.splitlines()
    assert lines[0] == "```console" and lines[1].startswith("$ rholaw predict") and lines[-1] == "```"
    assert console.printed("rholaw formats", 2).data.splitlines()[4:] == ["…", "```"]
    assert lines[2].split()[:3] == ["format", "bits", "rise"] and lines[3].startswith("nvfp4")


def test_a_refusal_is_shown():
    assert "'fp9' is no element" in console.printed("rholaw gmse fp9").data


def test_other_programs_are_not_run():
    with pytest.raises(ValueError, match="only rholaw"):
        console.printed("ls /")
