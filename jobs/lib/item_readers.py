"""Reads items from files of any size: JSON lines, JSON values, tables and plain lines.

Each reader takes the file's bytes from some offset on and yields one `Read` per item,
with the offset of the next item, where a later reader can continue. A bad item carries
its problem; the items after it are still read.
"""

import csv
import json
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jobs.lib import clean_json
from jobs.lib.errors import Malformed

MAX = 8 * 1024 * 1024  # bytes per item
TEXT_KEPT = 1000
BOM = b"\xef\xbb\xbf"
SPACE = " \t\r\n\ufeff"
TOO_LONG = "This is longer than 8 MiB."
NOT_UTF8 = "This is not UTF-8."
csv.field_size_limit(MAX)


class Unreadable(Exception):
    """The rest of the file cannot be read. The text says why."""


@dataclass(frozen=True)
class Read:
    """One item, or its text and problem; `end` is the offset of the next item."""

    value: Any
    end: int
    problem: str = ""


def lines(pieces: Iterable[bytes], at: int) -> Iterator[tuple[bytes | None, int]]:
    """Yield (line without its line end, offset after it); None for a line too long."""
    held, is_long = bytearray(), False
    for piece in pieces:
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            held += piece[start:end]
            at += end + 1 - start
            yield None if is_long or len(held) > MAX else bytes(held), at
            held.clear()
            start, is_long = end + 1, False
        held += piece[start:]
        at += len(piece) - start
        if len(held) > MAX:
            is_long = True
            held.clear()
    if held or is_long:
        yield None if is_long else bytes(held), at


def texts(pieces: Iterable[bytes], at: int) -> Iterator[Read]:
    """Yield each line that is not blank, stripped."""
    begin = at
    for line, end in lines(pieces, at):
        text, problem = _decoded(line, is_first=begin == 0)
        begin = end
        if problem or text.strip():
            yield Read(text.strip(), end, problem)


def json_lines(pieces: Iterable[bytes], at: int) -> Iterator[Read]:
    """Yield the JSON value of each line that is not blank."""
    for read in texts(pieces, at):
        yield read if read.problem else _parsed(read.value, read.end)


def table_head(pieces: Iterable[bytes]) -> tuple[str, list[str], int]:
    """Return (separator, column names, offset after them) of a CSV file.

    The first row names the columns; the separator is a comma, a semicolon or a tab.
    """
    source = _Lines(pieces, 0)
    first = source.back = next(source, "")
    separator = max(",;\t", key=first.count)
    for row in _rows(source, separator):
        return separator, _columns(row), source.end
    raise Unreadable("The table is empty.")


def table(
    pieces: Iterable[bytes], at: int, separator: str, columns: list[str]
) -> Iterator[Read]:
    """Yield each data row of a CSV file as {column: text}.

    Empty cells are left out.
    """
    source = _Lines(pieces, at)
    for row in _rows(source, separator):
        cells = dict(zip(columns, row, strict=False))
        problem = ""
        if len(row) > len(columns):
            problem = f"This row has {len(row)} cells but only {len(columns)} columns."
        filled = {name: cell for name, cell in cells.items() if cell != ""}
        yield Read(filled, source.end, problem)


def json_values(pieces: Iterable[bytes], at: int) -> Iterator[Read]:
    """Yield JSON values that follow each other, with or without line ends.

    For an invalid value, the rest of its line is skipped.
    """
    text = _Text(pieces, at)
    while text.skip_space():
        try:
            value = text.value()
        except ValueError as error:
            yield Read(*text.line(), f"This is not usable JSON: {_words(error)}.")
        else:
            yield Read(value, text.at)


def json_array(pieces: Iterable[bytes], at: int) -> Iterator[Read]:
    """Yield the members of one JSON array, or values that follow each other."""
    text = _Text(pieces, at)
    if at == 0 and text.skip_space():
        text.take("[")
    while text.skip_space():
        if text.take(",") or text.take("]"):
            continue
        try:
            value = text.value()
        except ValueError as error:
            words = _words(error)
            raise Unreadable(f"Not JSON after {text.at:,} bytes: {words}.") from None
        yield Read(value, text.at)


class _Text:
    """A file as text that is read as needed; `at` is the offset in bytes."""

    def __init__(self, pieces: Iterable[bytes], at: int) -> None:
        self.at = at
        self._pieces = iter(pieces)
        self._decoder = getincrementaldecoder("utf-8")()
        self._text, self._from, self._is_over = "", 0, False

    def skip_space(self) -> bool:
        """Move to the next value; return False at the end of the file."""
        while True:
            here = self._text
            at = self._from
            while at < len(here) and here[at] in SPACE:
                at += 1
            self._go(at)
            if at < len(here):
                return True
            if not self._read_on():
                return False

    def take(self, character: str) -> bool:
        """Skip a character if it is the next one."""
        if self._text[self._from] != character:
            return False
        self._go(self._from + 1)
        return True

    def value(self) -> Any:
        """Return the next value; raise ValueError if there is none."""
        while True:
            try:
                value, end = clean_json.DECODER.raw_decode(self._text, self._from)
            except RecursionError:
                raise ValueError("nested too deeply") from None
            except json.JSONDecodeError:
                # The value may continue in text that has not been read yet.
                if not self._read_on():
                    raise
                continue
            # A number at the very end of the text may be incomplete.
            if end < len(self._text) or not self._read_on():
                self._go(end)
                return value

    def line(self) -> tuple[str, int]:
        """Skip the rest of the line; return its text and the offset after it."""
        end = self._text.find("\n", self._from)
        end = len(self._text) if end < 0 else end + 1
        text = self._text[self._from : end]
        self._go(end)
        return text.strip()[:TEXT_KEPT], self.at

    def _go(self, to: int) -> None:
        self.at += len(self._text[self._from : to].encode())
        self._from = to

    def _read_on(self) -> bool:
        """Double the text held, so that parsing long values takes linear time."""
        held = self._text[self._from :]
        if self._is_over or len(held) > MAX:
            return False
        more, wanted = [], max(1, len(held))
        while wanted > 0 and not self._is_over:
            piece = next(self._pieces, None)
            self._is_over = piece is None
            try:
                text = self._decoder.decode(piece or b"", final=piece is None)
            except UnicodeDecodeError:
                raise Unreadable(f"{NOT_UTF8} Save the file in UTF-8.") from None
            more.append(text)
            wanted -= len(text)
        self._text, self._from = held + "".join(more), 0
        return len(self._text) > len(held)


class _Lines:
    """Lines of text for `csv`; `end` is the offset after the last one."""

    def __init__(self, pieces: Iterable[bytes], at: int) -> None:
        self.end, self.back, self._begin = at, "", at
        self._lines = lines(pieces, at)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.back:
            line, self.back = self.back, ""
            return line
        raw, self.end = next(self._lines)
        text, problem = _decoded(raw, is_first=self._begin == 0)
        self._begin = self.end
        if problem:
            raise Unreadable(f"{problem} Save the table in UTF-8.")
        return text + "\n"


def _words(error: ValueError) -> str:
    """Return the error without its position, which is relative to the text held."""
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _decoded(line: bytes | None, *, is_first: bool) -> tuple[str, str]:
    """Return (text, problem) of a line."""
    if line is None:
        return "", TOO_LONG
    try:
        return (line.removeprefix(BOM) if is_first else line).decode(), ""
    except UnicodeDecodeError:
        return line[:TEXT_KEPT].decode(errors="replace"), NOT_UTF8


def _parsed(text: str, end: int) -> Read:
    try:
        return Read(clean_json.strict(text.encode()), end)
    except Malformed as error:
        problem = str(error).replace("The body is", "This is")
        return Read(text[:TEXT_KEPT], end, problem)


def _rows(source: _Lines, separator: str) -> Iterator[list[str]]:
    try:
        for row in csv.reader(source, delimiter=separator, strict=True):
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error as error:
        raise Unreadable(f"The table is malformed: {error}.") from None


def _columns(row: list[str]) -> list[str]:
    names = [name.strip() for name in row]
    if not all(names):
        text = f"Column {names.index('') + 1} has no name."
        raise Unreadable(f"{text} The first row names the columns.")
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise Unreadable(f"Two columns are called “{twice[:80]}”.")
    return names


def value_of(text: str) -> Any:
    """Parse `text` as JSON; raise ValueError."""
    return clean_json.DECODER.decode(text)
