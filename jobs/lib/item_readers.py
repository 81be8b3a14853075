"""Items in files of any size: JSON lines, JSON values, tables and plain lines.

Each reader takes the file's bytes from some place on and yields what it has `Read`, one
item at a time, with the place where the next one begins: there a later reader goes on.
What is wrong with one item is told in its place; the next ones are read all the same.
"""

import csv
import json
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jobs.lib import clean_json
from jobs.lib.errors import Malformed

MAX = 8 * 1024 * 1024  # of one item, in bytes
TEXT_KEPT = 1000
BOM = b"\xef\xbb\xbf"
SPACE = " \t\r\n\ufeff"
TOO_LONG = "This is longer than 8 MiB."
NOT_UTF8 = "This is not UTF-8."
csv.field_size_limit(MAX)


class Unreadable(Exception):
    """Nothing of the file can be read from here on. The text says why."""


@dataclass(frozen=True)
class Read:
    """One item, or its text and what is wrong with it; `end`: where the next begins."""

    value: Any
    end: int
    problem: str = ""


def lines(pieces: Iterable[bytes], at: int) -> Iterator[tuple[bytes | None, int]]:
    """Yield (line without its end, place after it); None for one that is too long."""
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
    """Yield each line that is not blank, without the space around it."""
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
    """Return (separator, names of the columns, place after them) of a CSV file.

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
    """Yield each row below the first of a CSV file as {column: text}.

    Empty cells are left out.
    """
    source = _Lines(pieces, at)
    for row in _rows(source, separator):
        cells = dict(zip(columns, row, strict=False))
        problem = ""
        if len(row) > len(columns):
            problem = f"{len(row)} cells, but there are {len(columns)} columns."
        filled = {name: cell for name, cell in cells.items() if cell != ""}
        yield Read(filled, source.end, problem)


def json_values(pieces: Iterable[bytes], at: int) -> Iterator[Read]:
    """Yield JSON values that follow each other, with or without line ends.

    A value that is none is skipped up to the end of its line.
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
    """A file as text that is read on as it is needed; `at` is the place in bytes."""

    def __init__(self, pieces: Iterable[bytes], at: int) -> None:
        self.at = at
        self._pieces = iter(pieces)
        self._decoder = getincrementaldecoder("utf-8")()
        self._text, self._from, self._is_over = "", 0, False

    def skip_space(self) -> bool:
        """Go to the next value; return False at the end of the file."""
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
        """Step over a character, if it is the next one."""
        if self._text[self._from] != character:
            return False
        self._go(self._from + 1)
        return True

    def value(self) -> Any:
        """Return the next value; raise ValueError when there is none."""
        while True:
            try:
                value, end = clean_json.DECODER.raw_decode(self._text, self._from)
            except RecursionError:
                raise ValueError("nested too deeply") from None
            except json.JSONDecodeError:
                # Perhaps it goes on in what has not been read yet.
                if not self._read_on():
                    raise
                continue
            # Of a number at the very end the rest may be missing.
            if end < len(self._text) or not self._read_on():
                self._go(end)
                return value

    def line(self) -> tuple[str, int]:
        """Step over the rest of the line; return its text, and the place after it."""
        end = self._text.find("\n", self._from)
        end = len(self._text) if end < 0 else end + 1
        text = self._text[self._from : end]
        self._go(end)
        return text.strip()[:TEXT_KEPT], self.at

    def _go(self, to: int) -> None:
        self.at += len(self._text[self._from : to].encode())
        self._from = to

    def _read_on(self) -> bool:
        """Read as much again as is held, so that long values cost no more than their size."""
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
    """Lines of text for `csv`; `end` is the place after the last one."""

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
    """Return what is wrong, without places, which would count from anywhere."""
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
        raise Unreadable(f"The table breaks off: {error}.") from None


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
    """Return the JSON value that `text` is; raise ValueError."""
    return clean_json.DECODER.decode(text)
