-- What people write beside an entry of the audit log: the log is never changed, and what a person wrote must be erasable.

CREATE TABLE audit_notes (
  seq BIGINT NOT NULL,
  at_ms BIGINT NOT NULL,
  site_id TEXT NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (seq)
)

CREATE INDEX audit_notes_by_time ON audit_notes (at_ms)
