"""URLs with secrets in them are shown without, whatever prints them and however they are written."""

from __future__ import annotations

import copy
import pickle
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.secret_urls import SecretUrl, shown_url

SECRET = "tulip-4711"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mqtt://broker:1883", "mqtt://broker:1883"),
        ("mqtt://ingest@broker:1883", "mqtt://ingest@broker:1883"),
        (f"mqtt://ingest:{SECRET}@broker:1883", "mqtt://ingest:***@broker:1883"),
        (f"MQTTS://ingest:{SECRET}@broker", "MQTTS://ingest:***@broker"),
        (f"mqtt://in/gest:{SECRET}@broker", "mqtt://***@broker"),
        (f"kafka://user:{SECRET}@a:1,user:{SECRET}@b:2", "kafka://user:***@b:2"),
        ("kafka://a:9092,b:9092", "kafka://a:9092,b:9092"),
        (f"postgresql://linli:{SECRET}@db:5432/linli?sslmode=require", "postgresql://linli:***@db:5432/linli?sslmode=require"),
        (f"postgresql://db/linli?password={SECRET}&sslmode=require", "postgresql://db/linli?password=***&sslmode=require"),
        ("influx://db:8086/linli?version=2&org=block", "influx://db:8086/linli?version=2&org=block"),
        (f"influx://db/linli?token={SECRET}", "influx://db/linli?token=***"),
        (f"influx://db/linli?{SECRET}", "influx://db/linli?***"),
        (f"https://{SECRET}@host/x", "https://***@host/***"),
        (f"https://host/services/{SECRET}", "https://host/***"),
        (f"https://host/send?access_token={SECRET}", "https://host/***?***"),
        (f"https://host#{SECRET}", "https://host#***"),
        ("https://host", "https://host"),
        ("sqlite:////var/lib/a@b/c?d#e", "sqlite:////var/lib/a@b/c?d#e"),
        (f"ingest:{SECRET}@broker", "***"),
        (f"mqtt:ingest:{SECRET}@broker", "***"),
        (f"mqtt:ingest:{SECRET}", "***"),
        (f"mqtt://ingest:{SECRET}", "mqtt://***"),
        (f"ingest:{SECRET}", "***"),
        (f"https:{SECRET}", "***"),
        (f"https://host:{SECRET}/x", "https://***"),
        (f"host=db password={SECRET} dbname=x", "***"),
        (f"postgresql:host=db password={SECRET}", "***"),
        (f"postgresql://db/x password={SECRET}", "postgresql://***"),
        (f"postgresql://db/x?sslmode=require password={SECRET}", "postgresql://db/x?sslmode=***"),
        (f"{{'address': 'https://h/{SECRET}'}}", "***"),
        ("kafka://[::1]:9092,b:9092", "kafka://[::1]:9092,b:9092"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize("odd", ["/", "?", "#", "@", ":", "%", " ", "\n", "//", "@@", "[", "&", "="])
@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "kafka", "postgresql", "influx", "http", "https", "amqp+x"])
def test_a_password_with_any_character_in_it_is_hidden(scheme: str, odd: str) -> None:
    for password in (f"{odd}{SECRET}", f"{SECRET}{odd}", f"{SECRET}{odd}{SECRET}"):
        assert SECRET not in shown_url(f"{scheme}://user:{password}@host:1/x")


@given(password=st.text(min_size=1).map(lambda text: f"tulip{text}tulip"), scheme=st.sampled_from(["mqtt", "https"]))
def test_no_password_is_shown(password: str, scheme: str) -> None:
    assert "tulip" not in shown_url(f"{scheme}://user:{password}@host/")


def test_whatever_prints_it_prints_it_without() -> None:
    url = SecretUrl(f"mqtt://ingest:{SECRET}@broker:1883")
    printed = [
        str(url),
        repr(url),
        f"{url}",
        f"{url!r}",
        f"{url:60}",
        f"{[url]}",
        f"{ {'a': url} }",
    ]
    printed += [str(ValueError(url)), repr(ValueError(url)), "{}".format(url)]  # noqa: UP032
    assert not [text for text in printed if SECRET in text]


def test_whoever_connects_with_it_has_all_of_it() -> None:
    text = f"mqtt://ingest:{SECRET}@broker:1883"
    url = SecretUrl(text)
    assert (url, hash(url), url.reveal()) == (text, hash(text), text)
    assert type(url.reveal()) is str
    assert (urlsplit(url).password, urlsplit(url).port) == (SECRET, 1883)
    assert url.startswith("mqtt:") and url.removeprefix("mqtt://") == f"ingest:{SECRET}@broker:1883"
    assert copy.copy(url) == pickle.loads(pickle.dumps(url)) == text
