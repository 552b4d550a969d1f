"""The block whose weights move: a page stores what the library stores, wherever the weights stand."""

import numpy as np
import pytest
from browser import PAGE, problems

from rholaw import parse
from rholaw.book.live_block import FARTHEST, FORMATS, STEP, LiveBlock, stored

RANDOM = np.random.default_rng(5)
BLOCKS = {
    "first": LiveBlock().weights,
    "one far out": (FARTHEST, *[0.3] * 15),
    "zeros": (0.0,) * 16,
    "anywhere": (STEP * RANDOM.integers(-60, 61, 16)).tolist(),
    "small": (STEP * RANDOM.integers(-4, 5, 16)).tolist(),
}


def written(block, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE % ("<h1>t</h1>" + LiveBlock(block)._repr_html_()), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", BLOCKS)
def test_the_page_stores_what_the_library_does(name, context, tmp_path):
    page = context.new_page()
    page.goto(written(BLOCKS[name], tmp_path).as_uri())
    for number, code in enumerate(FORMATS):
        page.select_option(".live-block select", str(number))
        told = page.eval_on_selector_all(".live-weight", "e => e.map(e => e.getAttribute('aria-valuetext'))")
        shown = np.array([float(text.split()[-1].replace("−", "-")) for text in told])
        right, weights = stored(parse(code), BLOCKS[name]), np.array(BLOCKS[name])
        error, least = abs(shown - weights), abs(right - weights)  # where two levels are as near, either may be taken
        assert np.all(error <= least + 0.0101), code
        assert np.all((abs(shown - right) <= 0.0101) | (abs(error - least) <= 0.0101)), code
    page.close()


def test_weights_move_by_keys_and_by_hand(context, tmp_path):
    page = context.new_page()
    page.goto(written(BLOCKS["first"], tmp_path).as_uri())
    first, said = page.locator(".live-weight").first, page.locator(".live-said")
    before = said.inner_text()
    first.focus()
    for key in ("End", "ArrowDown"):
        page.keyboard.press(key)
    assert float(first.get_attribute("aria-valuenow")) == pytest.approx(FARTHEST - STEP) and said.inner_text() != before
    place = first.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + 5)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.up()
    assert abs(float(first.get_attribute("aria-valuenow"))) <= STEP
    page.close()


def test_the_page_is_well(context, tmp_path):
    assert problems(context, written(BLOCKS["first"], tmp_path)) == []
