"""Catalogues of machines to rent, by hand."""

import pytest

from rholaw.hardware import offers
from rholaw.hardware.devices import devices

HEAD = "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags\n"


@pytest.fixture
def read(tmp_path):
    """The offers of a catalogue with these lines."""

    def read(*lines):
        path = tmp_path / "mine.csv"
        path.write_text(HEAD + "\n".join(lines))
        return offers.read(path)

    return read


def test_a_machine_is_shared_by_its_devices_and_the_cheapest_comes_first(read):
    rows = read(
        "eight,eu,24.0,96,900,8,H100,80,false,,nvidia,",
        "one,us,3.5,12,100,1,H100,80,False,,nvidia,",
        "spot,us,1.5,12,100,1,H100,80,true,,nvidia,",
        "large,us,2.0,12,100,1,H100,94,false,,nvidia,",
        "none,us,0.1,12,100,0,,,false,,,",
    )
    assert len(rows) == 4 and rows.attrs["file"] == "mine.csv"
    known = offers.of(rows, devices()["H100 80GB SXM"], spot=False)
    assert known[["instance", "price"]].to_numpy().tolist() == [["eight", 3.0], ["one", 3.5]]
    assert offers.of(rows, devices()["H100 80GB SXM"], spot=True).instance.tolist() == ["spot"]
    assert offers.of(rows, devices()["L40S"], spot=False).empty


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a,eu,-1,1,1,1,H100,80,false,,,", "line 2: price must be a number above 0"),
        ("a,eu,1,1,1,0,H100,80,false,,,", "line 2: gpu_count must be a number above 0"),
        ("a,eu,1,1,1,1,H100,nan,false,,,", "line 2: gpu_memory must be a number above 0"),
        ("a,eu,1,1,1,1,H100,80,,,,", "line 2: spot must be True or False"),
    ],
)
def test_what_no_offer_can_say_is_refused_with_its_line(read, line, words):
    with pytest.raises(ValueError, match=f"mine.csv: {words}"):
        read(line)
