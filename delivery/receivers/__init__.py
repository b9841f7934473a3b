"""Kinds of receivers: who is told about incidents, a folder each.

When adding a kind, for example ``smoke_signal`` (checks name each place that was forgotten):

1. ``delivery/receivers/smoke_signal/`` with

   - ``__init__.py``: one sentence that says what it is.
   - ``settings.py``: a frozen msgspec struct of the kind's own keys in ``[[receiver]]``, with
     ``forbid_unknown_fields=True``, typed, with bounds; secrets and certificates are ``*_file`` fields of type
     ``Path``. Checks of fields against each other in ``__post_init__`` raise ConfigurationError. ``name``, ``kind``
     and the profile's keys are read for you.
   - ``mapping.py``: pure; a delivery as the message's bytes and headers, an answer as a receipt. Time, nonces and
     anything random come in as arguments.
   - ``client.py``: the :class:`delivery.receiver.Receiver`, by :class:`delivery.http.exchange.HttpPeer` and
     :mod:`delivery.http.statuses`, and ``open_smoke_signal(name, settings, read_secret)``.
   - ``golden/``: for each kind of news ``NEWS.json``, the payload of a delivery row, and ``NEWS.http``, the request
     byte for byte that it makes; more where the kind has more to show.
   - ``conformance.py``: its ``ADAPTER``, by which :mod:`delivery.conformance` puts it before a hostile peer.
   - ``stand_in.py``, if the demo or tests of the whole path want a strict other side.

2. A line in :data:`delivery.receivers.kinds.KINDS`; the kind is the folder's name. The mapping in ``[pure]`` of
   ``tests/rings/rings.toml``.
3. ``docs/operations.md``: the kind in its list and its keys under ``[[receiver]]``; ``docs/incidents.md``: what it is
   told, how it is signed and what its answers mean, when that differs from the webhook's.
4. ``pytest tests/delivery`` runs the conformance suite, the golden messages and the settings of every kind.
"""
