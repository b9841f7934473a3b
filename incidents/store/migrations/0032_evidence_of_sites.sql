-- Evidence is a site's: its state stands for the site whose box sent it or whose incident named it. What no incident
-- names yet has no site; the console finds it by its box.

ALTER TABLE evidence RENAME TO evidence_of_all

DROP INDEX evidence_by_state

CREATE TABLE evidence (
  site_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  state TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  box_id TEXT,
  reason TEXT NOT NULL,
  asked_ms BIGINT NOT NULL,
  settled_ms BIGINT,
  PRIMARY KEY (site_id, sha256)
)

INSERT INTO evidence (site_id, sha256, state, size_bytes, box_id, reason, asked_ms, settled_ms)
SELECT DISTINCT incidents.site_id, e.sha256, e.state, e.size_bytes, e.box_id, e.reason, e.asked_ms, e.settled_ms
FROM evidence_of_all AS e
JOIN incident_evidence ON incident_evidence.sha256 = e.sha256
JOIN incidents ON incidents.incident_id = incident_evidence.incident_id

INSERT INTO evidence (site_id, sha256, state, size_bytes, box_id, reason, asked_ms, settled_ms)
SELECT '', e.sha256, e.state, e.size_bytes, e.box_id, e.reason, e.asked_ms, e.settled_ms
FROM evidence_of_all AS e
WHERE e.sha256 NOT IN (SELECT sha256 FROM evidence)

DROP TABLE evidence_of_all

CREATE INDEX evidence_by_state ON evidence (state, asked_ms)
