"""The engine: batches of one partition in, findings out. Pure: no clock, no I/O, no chance.

This is the theory that the modules of this package carry out: time, order and snapshots. Read it before you change one
of them. ``docs/protocol.md`` has the same protocol with what lies around the engine: how ingest proves time, how boxes
resend, what Kafka and Faust are trusted for, and what was measured.

The log
    Devices' messages end as *events* in a *log*. A site lives in one *partition* of it, chosen by a hash of the site's
    id. A partition is a sequence of records at *positions* 0, 1, 2, ... without holes. Each record is a *batch*: the
    events that the partition's one writer accepted in a short while, of any of its sites, in order of acceptance, and a
    *watermark*. The log is all there is to know. Whoever has it can work out every state and every finding anew.

Two times
    ``at_ms`` says when something happened, ``received_ms`` when ingest accepted it. Rules live in the first one. Ingest
    settles ``at_ms`` before the log, for clocks that are wrong, and the engine trusts it. The engine knows of the
    present only what a watermark says: "everything that its writer received up to here is in the log". A watermark of
    0 says nothing. Events may still come that *happened* long before a watermark: a radio was slow, a box was offline.

Waiting for stragglers
    A rule names its *bound*: how long it waits for events that are out of order. All rules with one bound form a
    *lateness group*, and each site has one buffer for each group. A batch first goes into the buffers as a whole. Then
    each group releases to its rules what lies before the batch's watermark less the group's bound. Rules see events and
    deadlines in order of time, whatever the order in which they arrived.

The order of release (``release_order``)
    A site has one queue for all its groups, in order of time plus bound, kept as two heaps: of events, few and brief,
    and of all that waits for a time. Within a group this is the order of time:
    events by (``at_ms``, source, sequence number, event id), then the deadlines of the same millisecond by (``due_ms``,
    rule, key), then requests to judge again. A deadline that a release sets, and that is due too, is released in the
    same batch, in its place. One heap over all sites says whose turn it is, so a batch costs nothing for sites that
    have nothing due.

What is late (``site_state``)
    An event is late in a group when it would stand before what the site last released there, an event or a deadline.
    A watermark alone makes nothing late. In groups of up to 200 ms only what was released *of the same source* counts:
    one camera that is ahead must not make another one late. There a deadline counts for the source whose event last
    changed the state that set it. An event that its sender marks as *stored* is treated as late in any case, since the
    half of a backlog without its neighbours would accuse people just as wrongly.

What becomes of late events
    Rules do not see them, but for *instant* rules, which decide by one event (smoke, a fall) and get it at once with
    ``late_by_ms``. Configuration is folded into the site's view at once. For every other rule that would have taken the
    event a window to *judge again* grows (``rejudge``). When the source says that its backlog is drained, or has said
    nothing for 10 s, the window becomes a request in the engine's output, and once more when the rule has forgotten the
    window. Rules about receipt (silence, gaps) and rules that remember more than six hours are not judged again.

Duplicates (``deduplicator``)
    What is sent twice is taken once, and only the engine can say what it has taken. A box numbers the rows of its
    spool: one high-water mark for each lane. A configuration record has a version: one mark for a site. Anything else
    is known by its id, its device's own time and what it says: the site's last 4,096 are remembered, as many as a
    broker may send again, and the last 64 of each source. The same id with anything else is judged, under an id of its
    own. Telemetry without a number is not remembered; a reading said twice changes nothing.

Configuration
    Devices, thresholds, registrations and consents are records of the log like any other. Each lateness group has its
    own view of the site and folds a record into it when the record is released there. So what a rule knows depends on
    event time alone, and a finding carries the version of the view that it was decided under.

Rules (``rule_runner``)
    A rule is a state machine for each of its keys. The runner keeps the states, calls the rule, and holds it to its
    contract. A rule that raises, or names too many keys, or sets a deadline that does not lie ahead, changes nothing:
    the state stays as it was, the finding ``rule_failed`` says so, and everything else goes on. A deadline whose
    handling failed is struck out until the key's next event.

Findings (``finding_emitter``)
    A rule gives drafts. The emitter makes findings of them. The id of a finding is a hash of (site, rule, key,
    ``onset_ms``, onset event or "due", n-th since the onset): the same log gives the same ids, and a reader ignores an
    id that it has. ``position`` and ``number`` say which record decided it and as which of its site's outputs.

Snapshots (``snapshot``, ``manifest``)
    A row is one site's whole state with the position that it covers. The manifest of a partition lists the position of
    each site's row, and ``through``: the last position up to which no site has changed since its row was taken. A row
    that the manifest confirms covers up to ``through`` too. To open a partition, restore rows and manifest of whatever
    ages, and read the log from the oldest position that is missing. Each site skips what its row covers.

Versions (``rulebook``, ``state_schema``)
    The digest names the rules: their names, versions, bounds, horizons, the kinds that they take, and how their states
    are stored. Python names and docstrings are no part of it. Rows and manifest belong to one digest.

Invariants. The tests in ``tests/streams/engine`` try them with generated histories:

    1. State and output are functions of the log. Nothing else comes in.
    2. Positions are fed in order, each once. A lower one is skipped. A gap raises ``LogBroken``.
    3. A batch releases by its *own* watermark only. The engine stores no highest watermark, so a restored engine
       releases what one that never stopped would have released.
    4. Within a site's group (up to 200 ms: within each source of it) time never goes back: a rule that waits sees
       nothing late and nothing stored.
    5. Any cut of the same events into batches gives the same findings, as long as no event is out of order by more
       than the bound.
    6. A batch that brings a site no event and no due deadline changes nothing in that site.
    7. A site is judged as if it were alone: no other site of the partition plays a part.
    8. What is delivered again changes nothing.
    9. Saving at any moment changes nothing. Any mixture of older rows and manifests of one digest restores an engine
       that goes on as if it had never stopped. A newer snapshot only saves reading.
    10. A rule's failure changes no state and no other rule, and replay gives the same failure.
    11. What is said twice under one id by the same version under one configuration has one content. It is no error if
        not: the first stands (docs/protocol.md#one-id-two-contents).
    12. Numbers of outputs count within a site and a record: sites that skip the record do not change them.
    13. The order in which rules are given to the engine plays no part.

After any error but ``LogBroken`` on entry an engine is used no more. Restore a new one.
"""
