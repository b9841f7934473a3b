-- Entries of the audit log go when their time is over, up to where the chain was sealed (governance/audit_retention.py).

DROP TRIGGER audit_log_no_delete;

CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
WHEN OLD.seq > coalesce((SELECT value FROM counters WHERE name = 'audit_anchor'), 0)
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
