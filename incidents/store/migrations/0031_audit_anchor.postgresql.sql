-- Entries of the audit log go when their time is over, up to where the chain was sealed (governance/audit_retention.py).

CREATE FUNCTION linli_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
IF TG_OP = 'DELETE' AND OLD.seq <= coalesce((SELECT value FROM counters WHERE name = 'audit_anchor'), 0) THEN RETURN OLD;
END IF;
RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;

DROP TRIGGER audit_log_append_only ON audit_log;

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION linli_audit_append_only();
