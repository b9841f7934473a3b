-- Legal holds, what was erased by digest, and the counts that stay when incidents go.

CREATE TABLE holds (
  hold_id TEXT NOT NULL,
  site_id TEXT NOT NULL,
  incident_id TEXT,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  since_ms BIGINT NOT NULL,
  ended_ms BIGINT,
  PRIMARY KEY (hold_id)
);

CREATE INDEX holds_by_site ON holds (site_id, ended_ms);

CREATE TABLE erasures (
  site_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  digest TEXT NOT NULL,
  before_ms BIGINT NOT NULL,
  asked_ms BIGINT NOT NULL,
  actor TEXT NOT NULL,
  PRIMARY KEY (site_id, kind, digest)
);

CREATE TABLE incident_totals (
  site_id TEXT NOT NULL,
  month TEXT NOT NULL,
  scenario TEXT NOT NULL,
  state TEXT NOT NULL,
  severity_rank INTEGER NOT NULL,
  incidents BIGINT NOT NULL,
  PRIMARY KEY (site_id, month, scenario, state, severity_rank)
);
