"""The words that may be kept of a refused message, because they are ours: the contract's, and those of refusals. Pure.

``words_of_refusals`` is a list by hand. A refusal with a word that is missing here fails a test, which names it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from contracts.errors import DropReason, RejectReason
from contracts.events import AnyEvent
from contracts.names import Channel, DeviceClass

_OF_TOPICS = frozenset({"linli", "v1", "probe"})
_REFUSALS = """
Expected Input Invalid JSON NUL Object UTF-8 a alarm an another are array as at back be before begin begins between
bool boolean box but by byte bytes can cause channel character claim class clock clocks configured contains control
cut data day days decode deeper depth device devices different digits do does duplicate edge element elements empty
end enum escape event events evidence expected extra few field file finite float for found from gap gauges gave give
given gives gives; got has have id in input int integer invalid inventory is it its itself key keys length less
letters levels lie lies line list long longer lost malformed many match may message milliseconds missing moment more
most name named names neither nested never newer no none nor not now null number numbers object objects of off old
older on one only or order other ours out parser partition past payload pending place printable program range read
reading reads reference references refused required row s say says send sent should site small so sort source speak
speaks spelling spoke spool str string surrogate surrogates take taken text than that the there these this time times
to too topic trailing truncated twice type under unexpected unicode unknown unsigned up utf-8 value values version
was were what when where which with without wrong year years
"""


@cache
def words_of_refusals() -> frozenset[str]:
    """Return the words in which refusals are said, ours and the parser's."""
    return frozenset(_REFUSALS.split())


@cache
def contract_fields() -> frozenset[str]:
    """Return the name of every field of every event."""
    return frozenset(_walk()[0])


@cache
def contract_numbers() -> frozenset[str]:
    """Return the name of every field of every event that holds a number."""
    return frozenset(_walk()[2])


@cache
def contract_words() -> frozenset[str]:
    """Return every kind of event, every value of an enumeration in one, and the fixed levels of topics."""
    enums = [*DeviceClass, *Channel, *RejectReason, *DropReason]
    return frozenset(_walk()[1]) | {str(member) for member in enums} | _OF_TOPICS | contract_fields()


@cache
def _walk() -> tuple[set[str], set[str], set[str]]:
    """Return the fields, the words and the fields of numbers of the contract's types."""
    fields, words, numbers, seen = {"kind"}, set[str](), set[str](), set[int]()
    todo: list[Any] = [msgspec.inspect.type_info(AnyEvent)]
    while todo:
        match todo.pop():
            case msgspec.inspect.StructType() as struct if id(struct.cls) not in seen:
                seen.add(id(struct.cls))
                words |= {struct.tag} if isinstance(struct.tag, str) else set()
                fields |= {field.encode_name for field in struct.fields}
                numbers |= {field.encode_name for field in struct.fields if _is_number(field.type)}
                todo += [field.type for field in struct.fields]
            case msgspec.inspect.EnumType(cls=cls):
                words |= {str(member.value) for member in cls}
            case msgspec.inspect.LiteralType(values=values):
                words |= {value for value in values if isinstance(value, str)}
            case msgspec.inspect.UnionType(types=types):
                todo += types
            case msgspec.inspect.VarTupleType(item_type=item) | msgspec.inspect.ListType(item_type=item):
                todo.append(item)
            case msgspec.inspect.DictType(value_type=value):
                todo.append(value)
            case _:
                pass
    return fields, words, numbers


def _is_number(kind: msgspec.inspect.Type) -> bool:
    match kind:
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return True
        case msgspec.inspect.UnionType(types=types):
            return any(map(_is_number, types))
        case _:
            return False
