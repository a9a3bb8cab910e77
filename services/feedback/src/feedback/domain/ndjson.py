"""Labels as NDJSON (https://github.com/ndjson/ndjson-spec): on each line one label's JSON object.

A block of good lines goes through msgspec's typed decoder at once; one with a bad line is read line by line.
"""

from __future__ import annotations

import msgspec

from feedback.domain.json_upload import Row, add_row, check_rows
from feedback.domain.lines import MAX_LINE
from feedback.domain.parsed import TOO_LONG, Parsed, Rejection
from feedback.domain.uploads import Labels, Refused

_BOM = b"\xef\xbb\xbf"
_rows = msgspec.json.Decoder(Row)


class Ndjson:
    """The parser of one upload. Blank lines are passed over."""

    def parse(self, block: bytes, first_line: int, now: int) -> Parsed:
        """The labels of whole lines, and which lines are none."""
        if first_line == 1:
            block = block.removeprefix(_BOM)
        lines = block.removesuffix(b"\n").split(b"\n")
        if max(map(len, lines)) <= MAX_LINE:
            try:
                rows = _rows.decode_lines(block)
                # An object that is spread over lines would pass here, and not where a block ends within.
                if len(rows) == len(lines):
                    return Parsed(check_rows(rows, now), [], len(lines))
            except (ValueError, RecursionError):
                pass
        return _closely(lines, first_line, now)


def _closely(lines: list[bytes], first_line: int, now: int) -> Parsed:
    labels = Labels([], [], [])
    rejected: list[Rejection] = []
    of_label: list[int] = []
    for number, line in enumerate(lines, first_line):
        if not line.strip():
            continue
        try:
            add_row(labels, _value(line), now)
            of_label.append(number)
        except Refused as error:
            rejected.append(Rejection.of(number, error))
    return Parsed(labels, rejected, len(lines), of_label)


def _value(line: bytes) -> object:
    if len(line) > MAX_LINE:
        raise Refused(TOO_LONG)
    try:
        return msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the line is not JSON: {error}") from None
