"""Labels as CSV, for people and spreadsheets (RFC 4180, but one line is one label: no line breaks in quotes).

The first line names the columns: ``prediction_id``, ``truth`` and, where it is known, ``label_time``. They are
separated by commas, semicolons or tabs; spaces around a field mean nothing.

CSV has no types. Without quotes a truth that is written as JSON writes a number is that number, so that 5 and 5.0
name one class, as everywhere (:func:`feedback.domain.truth.same`), and true and false, in any case, are booleans. All
else is text, and so is whatever stands in quotes: ``007`` is not 7, and ``"3.10"`` is not 3.1. Where semicolons
separate, as spreadsheets write them in countries with a decimal comma, 1,5 is the number 1.5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from contracts.events import Label

from feedback.domain.json_upload import FIELDS
from feedback.domain.lines import MAX_LINE
from feedback.domain.parsed import TOO_LONG, Parsed, Rejection
from feedback.domain.uploads import Labels, Refused, add, check

DELIMITERS = (",", ";", "\t")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"(-?[0-9]{1,18})(?:\.0+)?")
_MAX_NUMBER = 100  # characters; Python takes long over thousands
_HEADER = "the first line names the columns: prediction_id, truth and, if known, label_time"


class Csv:
    """The parser of one upload. Blank lines are passed over."""

    def __init__(self) -> None:
        self._delimiter = ""
        self._columns: list[str] = []

    def parse(self, block: bytes, first_line: int, now: int) -> Parsed:
        """The labels of whole lines, and which lines are none.

        Raises :class:`Refused` where the columns are not named as they should.
        """
        lines = block.removesuffix(b"\n").split(b"\n")
        above = 0
        while not self._columns and above < len(lines):
            self._name_columns(lines[above], first_line + above)
            above += 1
        body = lines[above:]
        found = self._quickly(body, now) or self._closely(body, first_line + above, now)
        return Parsed(found.labels, found.rejected, len(lines), found.of_label)

    def _name_columns(self, line: bytes, number: int) -> None:
        if line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Refused("the file is UTF-16: save it as CSV in UTF-8")
        try:
            text = line[: MAX_LINE + 1].decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise Refused("the first line is not UTF-8: save the file as CSV in UTF-8") from None
        if not text or text.lower().startswith("sep="):  # a spreadsheet's own way to name the delimiter
            return
        self._delimiter = max(DELIMITERS, key=text.count)
        names = [name.lower() for name, _ in _fields(text, self._delimiter) or ()]
        for name in FIELDS[:2]:
            if name not in names:
                raise Refused(f"{_HEADER}; it is {text[:200]!r}", name)
        for name in names:
            if name not in FIELDS:
                raise Refused(f"{_HEADER}; {name[:80]!r} is none of them", name[:80])
            if names.count(name) > 1:
                raise Refused(f"column {name} is there twice", name)
        self._columns = names

    def _quickly(self, lines: Sequence[bytes], now: int) -> Parsed | None:
        """All lines at once, where they are plain and good; else None."""
        if not lines or max(map(len, lines)) > MAX_LINE:
            return None
        block, width, d = b"\n".join(lines), len(self._columns), self._delimiter
        try:
            text = "\n" + block.decode()
            # All fields in one list, where each line begins with one that keeps its newline.
            fields = text.replace("\n", d + "\n").split(d)[1:]
            starts = fields[::width]
            aligned = len(fields) == width * len(lines) and all(field[:1] == "\n" for field in starts)
            if '"' in text or not aligned:
                return None
            columns = {name: fields[i::width] for i, name in enumerate(self._columns)}
            ids = [field.strip() for field in columns["prediction_id"]]
            typed = {field: _truth(field.strip(), d) for field in set(columns["truth"])}
            times = _times(columns["label_time"], text.isascii()) if "label_time" in columns else None
            return Parsed(
                check(ids, [typed[field] for field in columns["truth"]], times, now), [], len(lines)
            )
        except ValueError:  # not UTF-8, or Refused
            return None

    def _closely(self, lines: Sequence[bytes], first_line: int, now: int) -> Parsed:
        labels = Labels([], [], [])
        rejected: list[Rejection] = []
        of_label: list[int] = []
        for number, line in enumerate(lines, first_line):
            if not line.strip():
                continue
            try:
                self._add(labels, line, now)
                of_label.append(number)
            except Refused as error:
                rejected.append(Rejection.of(number, error))
        return Parsed(labels, rejected, len(lines), of_label)

    def _add(self, labels: Labels, line: bytes, now: int) -> None:
        if len(line) > MAX_LINE:
            raise Refused(TOO_LONG)
        try:
            fields = _fields(line.decode(), self._delimiter)
        except UnicodeDecodeError:
            raise Refused("the line is not UTF-8") from None
        if fields is None:
            raise Refused("a quote is not closed on its line, or stands within a field")
        if len(fields) != len(self._columns):
            raise Refused(f"the line has {len(fields)} fields, and the first line {len(self._columns)}")
        row = dict(zip(self._columns, fields, strict=True))
        (text, _), (truth, quoted) = row["prediction_id"], row["truth"]
        time = _time(row["label_time"][0]) if "label_time" in row else None
        add(labels, text, truth if quoted else _truth(truth, self._delimiter), time, now)


def _fields(line: str, delimiter: str) -> list[tuple[str, bool]] | None:
    """The fields of a line and whether each was in quotes; None where the quotes do not match.

    >>> _fields('a, "b, ""c\"\"\" ,', ",")
    [('a', False), ('b, "c"', True), ('', False)]
    >>> _fields('"a', ","), _fields('a"b', ",")
    (None, None)
    """
    if '"' not in line:
        return [(field.strip(), False) for field in line.split(delimiter)]
    found: list[tuple[str, bool]] = []
    # Quoted, plain, and what follows: a delimiter, or the end.
    form = re.compile(rf' *(?:"((?:[^"]|"")*)"|([^"{delimiter}]*))\s*({delimiter}|$)')
    at, more = 0, True
    while more:
        field = form.match(line, at)
        if field is None:
            return None
        quoted, plain, after = field.groups()
        found.append((plain.strip(), False) if quoted is None else (quoted.replace('""', '"'), True))
        at, more = field.end(), bool(after)
    return found


def _truth(field: str, delimiter: str) -> Label:
    """What a field without quotes says; raises :class:`Refused` where it says nothing.

    >>> [_truth(field, ",") for field in ("5", "5.0", "1e3", "TRUE", "007", "late", "1,5")]
    [5, 5.0, 1000.0, True, '007', 'late', '1,5']
    >>> _truth("1,5", ";")
    1.5
    """
    if not field:
        raise Refused("truth is missing", "truth")
    if field.lower() in ("true", "false"):
        return field.lower() == "true"
    number = _NUMBER.fullmatch(field.replace(",", ".") if delimiter == ";" else field)
    if number is None:
        return field
    if len(field) > _MAX_NUMBER:
        said = f"a number has {_MAX_NUMBER} characters at the most; a text of digits stands in quotes"
        raise Refused(said, "truth")
    return float(number[0]) if number[1] or number[2] else int(number[0])


def _times(column: Sequence[str], is_ascii: bool) -> Sequence[int | str | None]:
    fields = [field.strip() for field in column]
    if is_ascii and all(map(str.isdecimal, fields)) and max(map(len, fields)) <= 18:
        return list(map(int, fields))
    return list(map(_time, fields))


def _time(field: str) -> int | str | None:
    if not field:
        return None
    whole = _INTEGER.fullmatch(field)
    return int(whole[1]) if whole else field
