"""Words: the zh-CN and en catalogues, the choice between them, and sentences made from codes on reading."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from functools import cache

import msgspec

from contracts.findings import Fact

LANGUAGES = ("zh-CN", "en")
DEFAULT_LANGUAGE = "zh-CN"

FactValue = float | str | bool | None


class MessageCatalogue(msgspec.Struct, frozen=True):
    """The words of one language: key → text with ``{names}`` in it."""

    language: str
    texts: Mapping[str, str]

    def text(self, key: str, **values: object) -> str:
        """Return the text of ``key`` with its values.

        A key that is missing gives itself: a page with one odd word is better than no page. Tests prove the
        catalogues complete for everything this program can say.
        """
        template = self.texts.get(key)
        return key if template is None else template.format(**values)

    def word(self, group: str, code: str) -> str:
        """Return the word for one code of a group, such as ``state`` and ``seen``."""
        return self.text(f"{group}.{code}")

    def fact(self, fact: Fact) -> str:
        """Return one reason as a phrase, with the limit it was held against."""
        value = self._value(fact.code, fact.value, fact.unit)
        key = f"fact.{fact.code}"
        text = (
            self.text(key, value=value) if key in self.texts else self.text("fact.other", code=fact.code, value=value)
        )
        if fact.limit is None:
            return text
        return self.text("fact_limit", text=text, limit=self._value(fact.code, fact.limit, fact.unit))

    def _value(self, code: str, value: FactValue, unit: str) -> str:
        match value:
            case None:
                return self.text("word.none")
            case bool():
                return self.text("word.true" if value else "word.false")
            case str():
                key = f"word.{code}.{value}"
                return self.texts.get(key, value)
            case int() | float():
                number = format_number(value)
                key = f"unit.{unit}"
                return self.text(key, value=number) if key in self.texts else f"{number} {unit}".strip()


@cache
def catalogue(language: str) -> MessageCatalogue:
    """Return the catalogue of ``language``, one of :data:`LANGUAGES`."""
    file = importlib.resources.files("console").joinpath("catalogues", f"{language}.json")
    return MessageCatalogue(language, msgspec.json.decode(file.read_bytes(), type=dict[str, str]))


def choose_language(asked: str | None, accept: str | None, default: str = DEFAULT_LANGUAGE) -> str:
    """Return the language for a request: ``?lang=`` when we have it, else the most wanted of ``Accept-Language``.

    >>> choose_language(None, "fr;q=0.9, en-GB;q=0.8, zh;q=0.5"), choose_language("zh-CN", "en")
    ('en', 'zh-CN')
    """
    if asked in LANGUAGES:
        return str(asked)
    for wanted in sorted((accept or "").split(",")[:20], key=_quality, reverse=True):
        tag = wanted.split(";")[0].strip().lower()
        for language in LANGUAGES:
            if tag.split("-")[0] == language.split("-")[0].lower():
                return language
    return default


def format_number(value: float) -> str:
    """Return a number as people read it: whole, or with at most two decimals (three below 1).

    >>> [format_number(n) for n in (3.0, 3.14159, 0.00123, 1234.5)]
    ['3', '3.14', '0.001', '1234.5']
    """
    decimals = 3 if abs(value) < 1 else 2
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _quality(part: str) -> float:
    _, _, weight = part.partition(";q=")
    try:
        return float(weight) if weight else 1.0
    except ValueError:
        return 0.0
