"""What a second process says of a chunk is what this one would have said."""

from collections import Counter
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from logship.backlog import pack, unpack
from logship.parser.detect import Detection
from logship.records import Delivery, Event, Unparsed
from logship.sieve.sifted import Sifted

text = st.text(st.characters(), max_size=20)
some = st.none() | text
events = st.builds(
    Event,
    text,
    text,
    text,
    text,
    text,
    referrer=some,
    props=st.none() | st.dictionaries(text, text, max_size=3),
    revenue=st.none() | st.dictionaries(text, text, max_size=2),
    interactive=st.none() | st.booleans(),
)
deliveries = st.builds(Delivery, text, events, st.none() | st.floats(allow_nan=False))
counts = st.dictionaries(text, st.integers(1, 1000), max_size=3).map(Counter)
sifteds = st.builds(
    Sifted,
    survivors=st.lists(st.tuples(st.integers(0), st.lists(deliveries, min_size=1, max_size=2)), max_size=4),
    lines=st.integers(0),
    expired=st.integers(0),
    nul_bytes=st.integers(0),
    unparsed=counts,
    dropped=counts,
    cuts=counts,
    first_unparsed=st.none() | st.tuples(st.integers(0), st.builds(Unparsed, text, st.integers(0))),
    detected=st.none() | st.builds(Detection, st.none(), text, st.floats(0, 1), st.just(("a", "b")), text),
)


@given(sifteds)
def test_a_sifted_chunk_survives_the_way_between_processes(sifted: Sifted) -> None:
    """Nothing is lost or changed, lone surrogates (bytes that were not UTF-8) included."""
    assert asdict(unpack(pack(sifted))) == asdict(sifted)
