CREATE INDEX attempts_by_time ON attempts (at_ms)
