from projectnil.sandbox.wasm_format import table_sizes
from tests.sandbox.guests import wat


def test_table_sizes_are_read_from_the_table_section() -> None:
    assert table_sizes(wat("(module)")) == []
    assert table_sizes(wat("(module (table 7 funcref) (table 300 500 funcref))")) == [7, 300]
