"""Text ↔ Format."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling import FULL

import rholaw as rl
from rholaw.checked import shown
from rholaw.formats.grammar import parse_list
from rholaw.formats.rules import RULES

CATALOGUE = rl.catalogue()
names = pytest.mark.parametrize("name", CATALOGUE)

scalars = st.one_of(
    st.integers(1, 8).map("int{}".format),
    st.integers(2, 8).map("sint{}".format),
    st.integers(1, 8).map("lm{}".format),
    st.tuples(st.integers(1, 6), st.integers(0, 6)).map(lambda xy: f"e{xy[0]}m{xy[1]}"),
    st.sampled_from(["nf4", "ternary", "binary", "e4m3fn", "e5m2"]),
)
sparsities = st.one_of(
    st.tuples(st.integers(1, 63), st.integers(2, 64))
    .filter(lambda nm: nm[0] < nm[1])
    .map(lambda nm: f"{nm[0]}:{nm[1]}"),
    st.floats(1e-9, 0.9999).map(lambda s: f"s{s:.12f}"),
)
blocks = st.builds(
    "/{}:{}".format,
    st.one_of(st.integers(1, 9999).map("g{}".format), st.sampled_from(["row", "tensor"])),
    st.one_of(
        st.sampled_from(["fp32", "bf16", "e8m0-even", "e4m3", "mse"]),
        st.builds("{}:{}".format, st.just("fp32"), st.just("rms")),
    ),
)
elements = st.one_of(
    scalars,
    st.tuples(scalars, blocks).map("".join),
    st.sampled_from(["uint4/g32", "uint3/g8:zero", "fint4/g32:signmax", "e2m1/16x8:e4m3"]),
    st.sampled_from(["vq2_16", "e8p", "q4_k", "trellis2", "mxfp4"]),
)
rotations = st.integers(1, 12).map(lambda k: f"hadamard{2**k}")
outliers = st.floats(1e-6, 0.5).map(lambda r: f"out{r:.9f}")
texts = st.one_of(
    elements,
    sparsities,
    st.tuples(sparsities, elements).map("+".join),
    st.tuples(rotations, sparsities, elements, outliers).map("+".join),
)


@given(texts)
def test_text_round_trips(text):
    format = rl.parse(text)
    assert rl.parse(str(format)) == format
    assert hash(rl.parse(str(format))) == hash(format)
    assert rl.parse(f" {text.upper()} ") == format


@names
def test_catalogue_names_parse_to_themselves_and_have_a_source(name):
    format = CATALOGUE[name]
    assert rl.parse(name) == format == rl.parse(str(format))
    assert len(format.source) > 10


def test_formats_differ():
    twice = {name for name, f in CATALOGUE.items() if sum(f == other for other in CATALOGUE.values()) > 1}
    assert twice == {"sint8/g32", "q8_0"}
    assert rl.parse("e4m3") != rl.parse("e4m3fn")
    assert rl.parse("2:4+dense") == rl.parse("2:4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int9", "'int9' is out of range.* 1 to 8"),
        ("sint1", "2 to 8"),
        ("e7m1", "1 to 6 and 0 to 6"),
        ("lm0", "1 to 8"),
        ("nf5", "'nf5' is no element. Did you mean 'nf4'"),
        ("", "'' is no element"),
        ("2:4+", "'' is no element"),
        ("+int4", "'' is no sparsity"),
        ("int4+2:4", "'int4' is no sparsity; right would be N:M"),
        ("4:2", "0 < N < M"),
        ("0:4", "0 < N < M"),
        ("2:", "no sparsity"),
        ("s1.5", "between 0 and 1"),
        ("s0", "between 0 and 1"),
        ("s0.5+int4+int4", "one part too many"),
        ("s0.5+2:4", "'2:4' has a sparsity already"),
        ("sint4.5", "no element"),
        ("int4/128", "'/128': a block is gK"),
        ("int4/g0", "a block is gK"),
        ("e2m1/1x16", "a tile of R > 1 rows"),
        ("int4/16x16:mse", "tiles such as 16x16 go with the rule absmax"),
        ("int4/g32:fp8", "'fp8' is neither a type (fp32"),
        ("int4/g32:absmin", "or a rule (absmax"),
        ("uint4", "has no sign"),
        ("uint4/g32:absmax", "has no sign"),
        ("int4/g32:zero", "'zero' does not go with int4"),
        ("sint4/g32:signmax", "'signmax' does not go with"),
        ("e2m1/g16:four-six", "'four-six' does not go with"),
        ("uint4/g32:e8m0", "needs scales in fp32, fp16 or bf16, not e8m0"),
        ("nf4/row:dq8", "dq8 go with blocks gK"),
        ("mxfp4/g64", "'mxfp4' has a block already"),
        ("q4_k/g64", "brings its own blocks of 256"),
        ("dense/g64", "has no scale"),
        ("vq2_16/g3", "codes 2 weights together"),
        ("vq2_17", "no codebook 'vq2_17'"),
        ("hadamard100+int4", "power of two"),
        ("int4+hadamard128", "'int4' is no sparsity"),
        ("int4+out2", "between 0 and 1"),
        ("int4+out0.1:fp8", "in fp16 or bf16"),
        ("int4+out0.01+out0.01", "'int4' is no sparsity"),
        ("int٤", "'int٤' is no element"),  # a digit, elsewhere
        ("hadamard٤+int4", "power of two"),
        ("int4+out1e-300", "between 0 and 1"),
        ("s0.9999999999999999", "between 0 and 1"),
        ("int" + "9" * 180, "is out of range"),
        ("int4/g99999999999", "a block is gK"),
        ("hadamard2^60", "power of two"),
        ("hadamard65536+63:64+int4/g1048575", "a multiple of 68719411200 weights"),
        ("int4/g32" * 2000, "16000 characters are too many"),
        ("\ud800\x00", r"'\\ud800\\x00' is no element"),
    ],
)
def test_wrong_text_names_the_part_and_what_is_right(text, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        rl.parse(text)


@st.composite
def mutated(draw):
    """A valid text with up to four characters put in, taken out, replaced, or another text put in their place."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(text)))
        put = draw(st.sampled_from("0123456789abcdeghimnoqrstuvx+/:._-, ٤½") | st.just("") | texts)
        text = text[:place] + put + text[place + draw(st.integers(0, 1)) :]
    return text


@settings(max_examples=2000 if FULL else 100)
@given(st.text(max_size=12) | mutated())
def test_any_text_is_a_format_or_says_which_part_is_wrong(text):
    try:
        format = rl.parse(text)
    except ValueError as error:
        assert len(str(error)) <= 500
        start = f"format {shown(text)}: "
        assert str(error).startswith(start)
        parts = re.findall("""['"](.*?)['"]""", str(error)[len(start) :])
        # A rule may be understood; a long part is not shown whole.
        assert any(part in repr(text.lower()) or part in RULES or "..." in part for part in parts)
    else:
        assert rl.parse(str(format)) == format and str(rl.parse(str(format))) == str(format)
        assert 0 <= format.bits < 40 and 1 <= format.multiple <= 2**20


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("lm4/G128+out0.72838887394184393", "lm4/g128+out0.7283888739418439"),
        ("int4+out5e-05", "int4+out0.00005"),
        ("S5E-7 + vq1_3", "s0.0000005+vq1_3"),
        ("\u2003int4/g0032:fp16:absmax\n", "int4/g32"),
        ("02:004+NF4", "2:4+nf4"),
        ("e05m02", "e5m2"),  # of the OCP, without infinities
        ("e2m1/016x08:e4m3", "e2m1/16x8:e4m3"),
    ],
)
def test_many_spellings_have_one_text(text, same):
    assert str(rl.parse(text)) == same == str(rl.parse(same)) and rl.parse(text) == rl.parse(same)


@pytest.mark.parametrize("wrong", [None, 4, b"int4", ["int4"], float("nan"), "int4".encode])
def test_what_is_no_text_is_refused_in_words(wrong):
    for read in (rl.parse, parse_list):
        with pytest.raises(TypeError, match=r"text, as in 'int4.*, not "):
            read(wrong)


@pytest.mark.parametrize("text", ["s0.9+out0.5", "8:16+e5m2+out0.5", "2:4+int4+out0.6"])
def test_outliers_that_leave_nothing_to_round_are_refused(text):
    with pytest.raises(ValueError, match="nothing is left to round"):
        rl.parse(text)
