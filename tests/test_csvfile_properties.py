"""Text files, whatever stands in them."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayesmeta.csvfile import read_csv
from bayesmeta.errors import BayesmetaError

CELLS = st.sampled_from(
    [
        "study",
        "yi",
        "1",
        "0.1",
        "0,1",
        "1e999",
        "NA",
        "",
        '"',
        '"a,b"',
        "45%",
        "é",
        "\r",
        "\n",
        ",",
        ";",
        "\t",
        " ",
        "\0",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=300), st.lists(CELLS, max_size=40).map(lambda cells: "".join(cells).encode())
    )
)
@example(content=b"a;b\n\xff")
@example(content=b'a,b\n"1"x,2')
@example(content="a,b\n1,2".encode("utf-32"))
def test_whatever_the_bytes_only_our_errors_come_out(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(content)
    try:
        table = read_csv(path)
    except BayesmetaError:
        return
    for column in table.columns.values():
        assert column.shape == (table.n,)
        assert column.dtype.kind == "U" or not np.any(np.isinf(column))


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=10))
def test_every_double_survives_the_journey_through_a_file(values, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "doubles.csv"
    path.write_text("study,yi\n" + "".join(f"s,{value!r}\n" for value in values))
    assert read_csv(path).columns["yi"].tolist() == values
