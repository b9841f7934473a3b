"""What editors make of a file: byte order marks are read, GBK and pictures are explained in one sentence."""

from __future__ import annotations

import pytest

from contracts.errors import ConfigurationError
from contracts.written_text import decode_written

TEXT = 'site_id = "green"\nname = "绿洲小区"\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_with_or_without_a_mark_and_with_any_ends_of_lines(encoding: str, end: str) -> None:
    assert decode_written(TEXT.replace("\n", end).encode(encoding), "file x") == TEXT


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (TEXT.encode("gbk"), "file x is not UTF-8 in line 2: it reads as GBK; save it as UTF-8 (iconv"),
        (TEXT.encode("gb18030"), "file x is not UTF-8 in line 2: it reads as GBK"),
        (bytes(range(256)) * 4, "file x is not UTF-8 in line 2: it is no text; expected a text file in UTF-8"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "file x is not UTF-8 in line 1: it is no text"),
        (b"\xff\xfea\0b", "file x is not UTF-8 in line 1: "),
    ],
)
def test_what_is_no_utf_8_is_explained_in_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        decode_written(data, "file x")
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)
