-- The first tables. Plain SQL that SQLite and PostgreSQL both take; never edited once released.

CREATE TABLE alarms (
  code TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  times INTEGER NOT NULL,
  cleared_ms BIGINT,
  PRIMARY KEY (code, subject)
);

CREATE INDEX alarms_by_cleared ON alarms (cleared_ms);

CREATE TABLE attempts (
  delivery_id TEXT NOT NULL,
  nth INTEGER NOT NULL,
  at_ms BIGINT NOT NULL,
  took_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (delivery_id, nth)
);

CREATE TABLE audit_log (
  seq BIGINT NOT NULL,
  at_ms BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  previous_hash TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (seq)
);

CREATE TABLE counters (
  name TEXT NOT NULL,
  value BIGINT NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE day_numbers (
  site_id TEXT NOT NULL,
  day TEXT NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (site_id, day)
);

CREATE TABLE deliveries (
  delivery_id TEXT NOT NULL,
  ordinal BIGINT NOT NULL,
  receiver TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  site_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  life_safety BOOLEAN NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  created_ms BIGINT NOT NULL,
  due_ms BIGINT NOT NULL,
  settled_ms BIGINT,
  PRIMARY KEY (delivery_id)
);

CREATE INDEX deliveries_by_due ON deliveries (receiver, state, due_ms);

CREATE INDEX deliveries_by_incident ON deliveries (incident_id, receiver, ordinal);

CREATE TABLE episodes (
  open_id TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  next_nth INTEGER NOT NULL,
  state TEXT NOT NULL,
  severity_rank INTEGER NOT NULL,
  life_safety BOOLEAN NOT NULL,
  verified BOOLEAN NOT NULL,
  confidence FLOAT NOT NULL,
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  PRIMARY KEY (open_id)
);

CREATE INDEX episodes_by_incident ON episodes (incident_id);

CREATE TABLE evidence (
  sha256 TEXT NOT NULL,
  state TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  box_id TEXT,
  reason TEXT NOT NULL,
  asked_ms BIGINT NOT NULL,
  settled_ms BIGINT,
  PRIMARY KEY (sha256)
);

CREATE INDEX evidence_by_state ON evidence (state, asked_ms);

CREATE TABLE findings (
  finding_id TEXT NOT NULL,
  open_id TEXT NOT NULL,
  nth INTEGER NOT NULL,
  phase TEXT NOT NULL,
  incident_id TEXT,
  site_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  content TEXT NOT NULL,
  applied BOOLEAN NOT NULL,
  verified BOOLEAN NOT NULL,
  due_ms BIGINT NOT NULL,
  taken_ms BIGINT NOT NULL,
  PRIMARY KEY (finding_id)
);

CREATE INDEX findings_by_applied ON findings (applied, taken_ms);

CREATE INDEX findings_by_incident ON findings (incident_id);

CREATE INDEX findings_by_open ON findings (open_id, nth);

CREATE TABLE grants (
  name TEXT NOT NULL,
  site_id TEXT NOT NULL,
  role TEXT NOT NULL,
  PRIMARY KEY (name, site_id)
);

CREATE TABLE incident_actions (
  incident_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  action TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT,
  comment TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (incident_id, version)
);

CREATE TABLE incident_changes (
  seq BIGINT NOT NULL,
  incident_id TEXT NOT NULL,
  site_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (seq)
);

CREATE TABLE incident_evidence (
  incident_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  evidence_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  mime TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  from_ms BIGINT NOT NULL,
  to_ms BIGINT NOT NULL,
  PRIMARY KEY (incident_id, sha256)
);

CREATE INDEX incident_evidence_by_sha ON incident_evidence (sha256);

CREATE TABLE incidents (
  incident_id TEXT NOT NULL,
  ordinal BIGINT NOT NULL,
  number TEXT NOT NULL,
  site_id TEXT NOT NULL,
  scenario TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_ref TEXT NOT NULL,
  place_id TEXT NOT NULL,
  building TEXT,
  source_id TEXT,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  severity_rank INTEGER NOT NULL,
  life_safety BOOLEAN NOT NULL,
  verified BOOLEAN NOT NULL,
  confidence FLOAT NOT NULL,
  ongoing BOOLEAN NOT NULL,
  onset_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  opened_ms BIGINT NOT NULL,
  changed_ms BIGINT NOT NULL,
  recurs_of TEXT,
  origin TEXT NOT NULL,
  fold_group TEXT,
  search TEXT NOT NULL,
  PRIMARY KEY (incident_id)
);

CREATE UNIQUE INDEX incidents_by_number ON incidents (site_id, number);

CREATE INDEX incidents_by_opened ON incidents (site_id, opened_ms);

CREATE UNIQUE INDEX incidents_by_ordinal ON incidents (ordinal);

CREATE INDEX incidents_by_state ON incidents (state, opened_ms);

CREATE INDEX incidents_by_subject ON incidents (site_id, scenario, subject_kind, subject_ref, last_ms);

CREATE TABLE sessions (
  token_sha256 TEXT NOT NULL,
  name TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  used_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  PRIMARY KEY (token_sha256)
);

CREATE INDEX sessions_by_name ON sessions (name);

CREATE TABLE users (
  name TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  PRIMARY KEY (name)
);
