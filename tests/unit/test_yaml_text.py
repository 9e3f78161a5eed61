"""YAML is read strictly: what surprises is refused, with the reason and the line."""

from __future__ import annotations

import pytest

from changeover.adapters.yaml_text import MAX_BYTES, MAX_DEPTH, MAX_VALUES, YamlText, read_yaml


def read(text: str | bytes) -> YamlText:
    return read_yaml(text if isinstance(text, bytes) else text.encode(), name="p.yaml")


def told(text: str | bytes) -> list[tuple[int, str, str]]:
    return [(fault.line, fault.path, fault.message) for fault in read(text).faults]


UNQUOTED = {
    "22:00": "22:00 without quotes is the number 1320 to YAML (base 60); write '22:00'",
    "12:30": "12:30 without quotes is the number 750 to YAML (base 60); write '12:30'",
    "01:00": "01:00 without quotes may be a number in base 60 to YAML; write '01:00'",
    "1:30:00": "1:30:00 without quotes is the number 5400 to YAML (base 60); write '1:30:00'",
    "no": "no without quotes is false to YAML; write true or false, or 'no' if text is meant",
    "NO": "NO without quotes is false to YAML; write true or false, or 'NO' if text is meant",
    "on": "on without quotes is true to YAML; write true or false, or 'on' if text is meant",
    "Off": "Off without quotes is false to YAML; write true or false, or 'Off' if text is meant",
    "yes": "yes without quotes is true to YAML; write true or false, or 'yes' if text is meant",
    "0644": "0644 without quotes is a number in another base to YAML; "
    "write '0644' if text is meant, or a decimal number",
    "0o17": "0o17 without quotes is a number in another base to YAML; "
    "write '0o17' if text is meant, or a decimal number",
    "0x1F": "0x1F without quotes is a number in another base to YAML; "
    "write '0x1F' if text is meant, or a decimal number",
    "0b11": "0b11 without quotes is a number in another base to YAML; "
    "write '0b11' if text is meant, or a decimal number",
    "089": "089 without quotes is a number in another base to YAML; write '089' if text is meant, or a decimal number",
    "1_000": "1_000 without quotes is a number with separators to YAML; write it in quotes or without '_'",
    ".inf": ".inf without quotes is not a finite number; write '.inf' if text is meant",
    ".NaN": ".NaN without quotes is not a finite number; write '.NaN' if text is meant",
    "1e999": "1e999 is too large a number; write it in quotes",
    "9" * 30: "99999999999999999999… is too large a number; write it in quotes",
    "2026-02-30": "2026-02-30 is not a day of the calendar",
    "2026-11-28 22:00:00": "2026-11-28 22:00:00 without quotes is a moment in time to YAML; "
    "write the day alone, such as 2026-11-28, or all of it in quotes if text is meant",
    "2026-11-28T22:00:00Z": "2026-11-28T22:00:00Z without quotes is a moment in time to YAML; "
    "write the day alone, such as 2026-11-28, or all of it in quotes if text is meant",
}


@pytest.mark.parametrize(("written", "reason"), UNQUOTED.items(), ids=UNQUOTED)
def test_an_unquoted_value_that_yaml_changes_is_refused_with_the_reason(written: str, reason: str) -> None:
    assert told(f"a: 1\nvalue: {written}\n") == [(2, "value", reason)]


CUT_OFF = {
    "text": ("value: Roundup #26 for Lindgren\n", "#26 for Lindgren"),
    "nothing-left": ("value: #26\n", "#26"),
    "text-on-two-lines": ("value: Roundup\n  of #26\n", "#26"),
    "list": ("value:\n  - Müller #1\n", "#1"),
    "in-brackets": ("value: [Roundup #26\n  ]\n", "#26"),
}


@pytest.mark.parametrize(("text", "lost"), CUT_OFF.values(), ids=CUT_OFF)
def test_text_that_yaml_would_cut_off_is_refused(text: str, lost: str) -> None:
    ((_, path, message),) = told(text)
    assert path.startswith("value")
    assert (
        message
        == f"what follows is a comment to YAML: {lost}; write the whole text in quotes, or '# ' before a comment"
    )


@pytest.mark.parametrize(
    "text",
    [
        "value: Roundup # 26 is the number\n",
        "value: Roundup#26\n",
        "value: 'Roundup #26'\n",
        "value: |\n  Roundup #26\n",
        "value: 26 #twenty-six\n",
        "value: Roundup ## ----\n",
        "value: #of these\n  - 1\n",
        "value: Roundup #\n",
    ],
)
def test_a_comment_that_takes_nothing_away_is_one(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize("written", UNQUOTED)
def test_the_same_value_in_quotes_is_text(written: str) -> None:
    document = read(f"value: '{written}'\n")
    assert document.faults == []
    assert document.data == {"value": written}


def test_values_that_every_yaml_reads_alike_are_taken() -> None:
    document = read("a: 1\nb: true\nc: text\nd: 1.5\ne: 2026-11-28\nf:\ng: -3\nh: [x, 'y']\ni: {j: k}\nkey: y\n")
    assert document.faults == []
    assert document.data["a"] == 1
    assert document.data["b"] is True
    assert document.data["f"] is None
    assert str(document.data["e"]) == "2026-11-28"
    assert document.data["h"] == ["x", "y"]
    assert document.data["key"] == "y"


REFUSED = {
    "duplicate": ("a: 1\nb: 2\na: 3\n", [(3, "a", "is written twice, first on line 1; keep one")]),
    "duplicate-deep": (
        "x:\n  - y: {z: 1, z: 2}\n",
        [(2, "x.0.y.z", "is written twice, first on line 2; keep one")],
    ),
    "duplicate-quoted": ("a: 1\n'a': 2\n", [(2, "a", "is written twice, first on line 1; keep one")]),
    "anchor": ("a: &x 1\n", [(1, "a", "has the anchor '&x'; anchors are not read, write the value out")]),
    "alias": (
        "a: &x 1\nb: *x\n",
        [
            (1, "a", "has the anchor '&x'; anchors are not read, write the value out"),
            (2, "b", "is the alias '*x'; aliases are not read, write the value out"),
        ],
    ),
    "merge": ("a:\n  <<: {b: 1}\n", [(2, "a", "is a merge key '<<'; merging is not read, write the values out")]),
    "alias-as-key": (
        "a: &x b\n*x : 1\n",
        [
            (1, "a", "has the anchor '&x'; anchors are not read, write the value out"),
            (2, "", "the alias '*x' stands for a key; write the key out"),
        ],
    ),
    "tag": ("a: !!str 1\n", [(1, "a", "has the tag '!!str'; tags are not read, write the value plainly")]),
    "own-tag": ("a: !vault x\n", [(1, "a", "has the tag '!vault'; tags are not read, write the value plainly")]),
    "python-tag": (
        "a: !!python/object/apply:os.system ['true']\n",
        [(1, "a", "has the tag '!!python/object/apply:os.system'; tags are not read, write the value plainly")],
    ),
    "two-documents": ("a: 1\n---\nb: 2\n", [(2, "", "holds a second document ('---'); write one document to a file")]),
    "directive": ("%YAML 1.1\n---\na: 1\n", [(1, "", "has a YAML directive (%…); remove it")]),
    "empty": ("", [(1, "", "is empty")]),
    "comments-only": ("# nothing\n\n", [(1, "", "is empty")]),
    "null-document": ("~\n", [(1, "", "is empty")]),
    "number-key": ("8: x\n", [(1, "", "the key 8 is not text to YAML; write it in quotes")]),
    "null-key": ("~: x\n", [(1, "", "the key ~ is not text to YAML; write it in quotes")]),
    "date-key": ("2026-11-28: x\n", [(1, "", "the key 2026-11-28 is not text to YAML; write it in quotes")]),
    "boolean-key": ("true: x\n", [(1, "", "the key true is not text to YAML; write it in quotes")]),
    "list-key": ("? [a, b]\n: c\n", [(1, "", "a list or mapping stands for a key; keys are text")]),
    "tab-indent": ("a:\n\tb: 1\n", [(2, "", "has a tab; YAML does not indent by tabs, use spaces")]),
    "tab-inside": ("a:\t1\n", [(1, "", "has a tab; YAML does not indent by tabs, use spaces")]),
    "control": ("a: 1\nb: x\x07y\n", [(2, "", "has the control character U+0007; remove it")]),
    "nul": ("a: x\x00y\n", [(1, "", "has the control character U+0000; remove it")]),
    "line-separator": ("a: x\u2028y\n", [(1, "", "has the control character U+2028; remove it")]),
    "direction": ("a: x\u202ey\n", [(1, "", "has the invisible character U+202E; remove it")]),
    "zero-width": ("a: x\u200by\n", [(1, "", "has the invisible character U+200B; remove it")]),
    "escaped-control": ('a: "x\\0y"\n', [(1, "a", "has the character U+0000 in it; remove it")]),
    "bare-return": ("a: 1\rb: 2\n", [(1, "", "has a bare carriage return; end lines with a line feed")]),
}


@pytest.mark.parametrize(("text", "faults"), REFUSED.values(), ids=REFUSED)
def test_what_surprises_in_the_structure_is_refused(text: str, faults: list[tuple[int, str, str]]) -> None:
    assert told(text) == faults


ENCODINGS = {
    "utf-16": ("a: ü\n".encode("utf-16"), "is UTF-16 or UTF-32 text; save it as UTF-8"),
    "utf-16-be": (b"\xfe\xff" + "a: ü\n".encode("utf-16-be"), "is UTF-16 or UTF-32 text; save it as UTF-8"),
    "utf-16-without-mark": (
        "a: bcd\n".encode("utf-16-le"),
        "is UTF-16 or UTF-32 text without a mark; save it as UTF-8",
    ),
    "latin-1": ("a: ü\n".encode("latin-1"), "byte 0xfc is not UTF-8 (latin-1?); save the file as UTF-8"),
    "mark": (b"\xef\xbb\xbfa: 1\n", "begins with a byte order mark (BOM); save it as UTF-8 without one"),
}


@pytest.mark.parametrize(("raw", "reason"), ENCODINGS.values(), ids=ENCODINGS)
def test_another_encoding_is_named(raw: bytes, reason: str) -> None:
    assert told(raw) == [(1, "", reason)]


def test_the_line_of_a_foreign_byte_is_told() -> None:
    assert told(b"a: 1\nb: 2\nc: \xe9\n")[0][0] == 3


def test_windows_line_ends_are_read() -> None:
    document = read("a: 1\r\nb:\r\n  - x\r\n")
    assert (document.data, document.faults) == ({"a": 1, "b": ["x"]}, [])


def test_a_large_text_is_refused_unread() -> None:
    assert told(b"a: " + b"x" * MAX_BYTES) == [(0, "", "is larger than 1024 KiB; a document of this kind has a few")]


def test_deep_nesting_ends_the_reading() -> None:
    assert [message for _, _, message in told("[" * 50)] == [f"is nested more than {MAX_DEPTH} deep"]


@pytest.mark.parametrize("opening", ["[", "{", "- ", "a: {", "? "])
def test_a_megabyte_of_openings_is_answered(opening: str) -> None:
    assert told(opening * (MAX_BYTES // len(opening)))


def test_many_values_end_the_reading() -> None:
    assert told("[" + "1," * MAX_VALUES + "1]")[-1] == (1, "", f"has more than {MAX_VALUES} values")


def test_billion_laughs_are_not_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    document = read("\n".join(lines))
    assert len(document.faults) == 10 + 90
    assert document.data["a9"] == [None] * 10


def test_broken_syntax_tells_where_reading_ended_and_what_was_seen_before() -> None:
    faults = told("a: no\nb: [1, 2\nc: 3\n")
    assert faults[0] == (1, "a", UNQUOTED["no"])
    line, path, message = faults[1]
    assert (line, path) == (3, "")
    assert message.startswith("cannot be read as YAML from here on: ")


def test_the_word_on_may_name_a_key() -> None:
    """YAML 1.1 makes `true` of it; a window has a key of that name."""
    assert read("on: 2026-11-28\n").data.keys() == {"on"}


def test_every_fault_is_told_at_once() -> None:
    assert len(told("a: no\nb: 22:00\nc: &x 1\na: 2\n8: y\nd: !t z\n")) == 6
