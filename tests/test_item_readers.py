"""Reading items out of files: whatever the pieces, each once, and on from anywhere."""

import json

import pytest

from jobs.lib import item_readers
from jobs.lib.item_readers import Unreadable

BOM = "\ufeff"


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


READERS = {
    "lines": (
        item_readers.json_lines,
        f'{BOM}{{"a": "ü"}}\n\n  [1, 2] \r\n"x"\n{{"b": 1}}',
        [{"a": "ü"}, [1, 2], "x", {"b": 1}],
    ),
    "values": (
        item_readers.json_values,
        f'{BOM}{{"a": "ü"}}{{"b":\n [1]}} 12 13\n"x"',
        [{"a": "ü"}, {"b": [1]}, 12, 13, "x"],
    ),
    "array": (
        item_readers.json_array,
        f'{BOM} [{{"a": "ü"}},\n {{"b": [1]}}, "x"]\n',
        [{"a": "ü"}, {"b": [1]}, "x"],
    ),
    "texts": (item_readers.texts, f"{BOM}one\n\n two \nüber", ["one", "two", "über"]),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_every_item_is_read_once_and_from_any_place_on(name, size):
    read, text, wanted = READERS[name]
    content = text.encode()
    items = list(read(pieces(content, size), 0))
    assert [one.value for one in items] == wanted
    assert not [one.problem for one in items if one.problem]
    for number, one in enumerate(items, start=1):
        rest = read(pieces(content[one.end :], size), one.end)
        assert [later.value for later in rest] == wanted[number:]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_read_with_its_separator_and_lines_inside_cells(size, separator):
    text = 'name,size,note\na,1,"two\nlines, ""quoted"""\n\n,2,\n'
    content = (BOM + text.replace(",", separator)).encode()
    detected, columns, end = item_readers.table_head(pieces(content, size))
    assert (detected, columns) == (separator, ["name", "size", "note"])
    rows = list(item_readers.table(pieces(content[end:], size), end, detected, columns))
    note = f'two\nlines{separator} "quoted"'
    assert [row.value for row in rows] == [
        {"name": "a", "size": "1", "note": note},
        {"size": "2"},
    ]
    rest = content[rows[0].end :]
    (last,) = item_readers.table([rest], rows[0].end, detected, columns)
    assert last.value == {"size": "2"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,,c\n1,2,3", "Column 2 has no name"),
        (b"a,b,a\n", "Two columns are called “a”"),
        (b"", "The table is empty"),
        (b"\xff\xfe\n", "UTF-8"),
        (b'a,b\n"1,2', "malformed"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(content, words):
    def read():
        separator, columns, end = item_readers.table_head([content])
        list(item_readers.table([content[end:]], end, separator, columns))

    with pytest.raises(Unreadable, match=words):
        read()


def test_a_row_with_too_many_cells_is_told_in_its_place():
    rows = list(item_readers.table([b"1,2,3\n4,5\n"], 4, ",", ["a", "b"]))
    assert [bool(row.problem) for row in rows] == [True, False]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"oops", "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'"\xff"', "UTF-8"),
        (b"[" * 5000, "Nested deeper"),
        (b'{"a": 1', "not JSON"),
    ],
)
def test_what_is_wrong_with_one_line_stops_no_other(line, words):
    content = b'{"n": 1}\n' + line + b'\n{"n": 2}\n'
    good, bad, after = item_readers.json_lines([content], 0)
    assert (good.value, after.value) == ({"n": 1}, {"n": 2})
    assert words in bad.problem
    assert content[bad.end :] == b'{"n": 2}\n'


def test_a_value_that_is_none_is_skipped_to_the_end_of_its_line():
    content = b'{"n": 1}\nno {"n": 0}\n{"a": 1, "a": 2}\n{"n": 2}'
    items = list(item_readers.json_values(pieces(content, 4), 0))
    assert [one.value for one in items if not one.problem] == [{"n": 1}, {"n": 2}]
    assert next(one.value for one in items if one.problem) == 'no {"n": 0}'


def test_an_item_over_the_limit_is_told_and_memory_stays_small(monkeypatch):
    monkeypatch.setattr(item_readers, "MAX", 100)
    content = b"1\n" + b"x" * 1000 + b"\n2\n"
    first, long, last = item_readers.json_lines(pieces(content, 7), 0)
    assert (first.value, last.value) == (1, 2)
    assert "8 MiB" in long.problem
    assert content[long.end :] == b"2\n"


def test_long_values_cost_no_more_than_their_size():
    value = {"rows": [{"n": n} for n in range(20_000)]}
    content = json.dumps(value, indent=1).encode()
    (item,) = item_readers.json_values(pieces(content, 1024), 0)
    assert item.value == value
