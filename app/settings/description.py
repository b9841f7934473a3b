"""Says what settings there are and what is in force, for people. No secret is among it."""

from __future__ import annotations

from collections.abc import Iterator

from app.settings.loading import Loaded, ValueOrigin
from app.settings.receivers import WEBHOOK
from app.settings.settings import keys

_NONE = "(none)"


def lines_in_force(loaded: Loaded) -> Iterator[str]:
    """Yield a line a key: name, value, origin, meaning, name in the environment; then one a ``[[receiver]]``."""
    for name, key in keys().items():
        value = key.kind.hide(key.kind.text(key.value(loaded.settings))) or key.when_empty or _NONE
        yield f"{name:26} {value:40} {loaded.origins[name]:21} {key.meaning} [{key.variable}]"
    for receiver in loaded.settings.receiver:
        yield _receiver_line(receiver.name, receiver.kind, ValueOrigin.FILE)
    if loaded.settings.webhook.url:
        yield _receiver_line(WEBHOOK, WEBHOOK, loaded.origins["webhook.url"])


def _receiver_line(name: str, kind: str, origin: ValueOrigin) -> str:
    return f"{f'receiver {name}':26} {kind:40} {origin:21} is told of incidents"


def keys_as_table() -> str:
    """Return every key with its default and meaning as a Markdown table, as docs/operations.md shows it."""
    lines = ["| key | default | what |", "|---|---|---|"]
    for name, key in keys().items():
        default = key.kind.text(key.default)
        follows = ", beside the log" if key.beside_log else ""
        meaning = key.meaning.replace("|", "\\|")
        lines.append(f"| `{name}` | {f'`{default}`' if default else '–'}{follows} | {meaning} |")
    return "\n".join(lines) + "\n"
