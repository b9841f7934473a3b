"""What every receiver that speaks HTTP must do before a hostile peer; executable, and the same for every kind.

The contract:

- One attempt is one request. A redirect is never followed. An attempt ends within the receiver's time limit, however
  many addresses a name has and however slowly the peer speaks, and reads a bounded piece of the answer.
- An attempt comes to one of: delivered (a receipt was read), unreadable (a success without one), retry (it may pass;
  not before ``Retry-After``, of which at most a day counts), misconfigured (a person must fix an address or a
  credential), rejected (trying again cannot help). Nothing else leaves ``send``: garbage is no reason to die.
- TLS is checked: authority, host, validity. Nothing is sent to a peer that fails.
- A delivery has the same key and the same bytes in every attempt; what makes a signature fresh differs.
- No secret, and nothing that the peer said, stands in an error, a log line or a ``repr``.
- The golden messages of its folder are what it sends, byte for byte.

A kind takes part by ``delivery/receivers/KIND/conformance.py`` with its :class:`~delivery.conformance.adapter.Adapter`.
``cases`` are the table; ``suite`` plays it. The suite raises :class:`~delivery.conformance.suite.ConformanceError`.
"""
