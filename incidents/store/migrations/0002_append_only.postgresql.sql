-- The audit log and the attempts of deliveries are only ever added to.

CREATE FUNCTION linli_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION linli_append_only();

CREATE TRIGGER attempts_append_only BEFORE UPDATE ON attempts
FOR EACH ROW EXECUTE FUNCTION linli_append_only();
