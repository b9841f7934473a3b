"""The tables of incidents.db, as SQLAlchemy Core. Usable on SQLite and PostgreSQL; made by ``incidents/migrations``.

Enumerations are text (their wire value), times epoch ms UTC. A test compares these tables with what migrations make.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text

metadata = MetaData()

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("applied_ms", BigInteger, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Cursors of readers, and sequences whose numbers must be gapless and in order of commit."""

day_numbers = Table(
    "day_numbers",
    metadata,
    Column("site_id", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("last", Integer, nullable=False),
    PrimaryKeyConstraint("site_id", "day"),
)

findings = Table(
    "findings",
    metadata,
    Column("finding_id", Text, primary_key=True),
    Column("open_id", Text, nullable=False),
    Column("nth", Integer, nullable=False),
    Column("phase", Text, nullable=False),
    Column("incident_id", Text),
    Column("site_id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("applied", Boolean, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("taken_ms", BigInteger, nullable=False),
    Index("findings_by_open", "open_id", "nth"),
    Index("findings_by_incident", "incident_id"),
    Index("findings_by_applied", "applied", "taken_ms"),
)

episodes = Table(
    "episodes",
    metadata,
    Column("open_id", Text, primary_key=True),
    Column("incident_id", Text, nullable=False),
    Column("next_nth", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity_rank", Integer, nullable=False),
    Column("life_safety", Boolean, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Index("episodes_by_incident", "incident_id"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("incident_id", Text, primary_key=True),
    Column("ordinal", BigInteger, nullable=False),
    Column("number", Text, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("scenario", Text, nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject_ref", Text, nullable=False),
    Column("place_id", Text, nullable=False),
    Column("building", Text),
    Column("source_id", Text),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("severity_rank", Integer, nullable=False),
    Column("life_safety", Boolean, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("ongoing", Boolean, nullable=False),
    Column("onset_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("recurs_of", Text),
    Column("origin", Text, nullable=False),
    Column("fold_group", Text),
    Column("search", Text, nullable=False),
    Index("incidents_by_ordinal", "ordinal", unique=True),
    Index("incidents_by_number", "site_id", "number", unique=True),
    Index("incidents_by_subject", "site_id", "scenario", "subject_kind", "subject_ref", "last_ms"),
    Index("incidents_by_state", "state", "opened_ms"),
    Index("incidents_by_opened", "site_id", "opened_ms"),
)

incident_actions = Table(
    "incident_actions",
    metadata,
    Column("incident_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text),
    Column("comment", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("incident_id", "version"),
)

incident_changes = Table(
    "incident_changes",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("incident_id", Text, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("ordinal", BigInteger, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("life_safety", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("settled_ms", BigInteger),
    Index("deliveries_by_due", "receiver", "state", "due_ms"),
    Index("deliveries_by_incident", "incident_id", "receiver", "ordinal"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", Text, nullable=False),
    Column("nth", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("delivery_id", "nth"),
    Index("attempts_by_time", "at_ms"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("site_id", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("box_id", Text),
    Column("reason", Text, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("settled_ms", BigInteger),
    PrimaryKeyConstraint("site_id", "sha256"),
    Index("evidence_by_state", "state", "asked_ms"),
)
"""What a site asked for or has. Another site that names the same bytes has a row of its own, or nothing."""

incident_evidence = Table(
    "incident_evidence",
    metadata,
    Column("incident_id", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("evidence_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("mime", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("incident_id", "sha256"),
    Index("incident_evidence_by_sha", "sha256"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

alarms = Table(
    "alarms",
    metadata,
    Column("code", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Column("cleared_ms", BigInteger),
    PrimaryKeyConstraint("code", "subject"),
    Index("alarms_by_cleared", "cleared_ms"),
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("name", Text, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    PrimaryKeyConstraint("name", "site_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_sha256", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("sessions_by_name", "name"),
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Text, primary_key=True),
    Column("site_id", Text, nullable=False),
    Column("incident_id", Text),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Index("holds_by_site", "site_id", "ended_ms"),
)

audit_notes = Table(
    "audit_notes",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index("audit_notes_by_time", "at_ms"),
)
"""What people wrote beside entries of the audit log: it cannot be changed, this can."""

erasures = Table(
    "erasures",
    metadata,
    Column("site_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("before_ms", BigInteger, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    PrimaryKeyConstraint("site_id", "kind", "digest"),
)

incident_totals = Table(
    "incident_totals",
    metadata,
    Column("site_id", Text, nullable=False),
    Column("month", Text, nullable=False),
    Column("scenario", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity_rank", Integer, nullable=False),
    Column("incidents", BigInteger, nullable=False),
    PrimaryKeyConstraint("site_id", "month", "scenario", "state", "severity_rank"),
)
"""What stays of incidents that retention deleted: how many of a kind a month (UTC) opened."""

table_sums = Table(
    "table_sums",
    metadata,
    Column("name", Text, primary_key=True),
    Column("total", BigInteger, nullable=False),
)
"""On SQLite the sum of each table's rows, written by triggers only (``table_sums.py``); empty on PostgreSQL."""
