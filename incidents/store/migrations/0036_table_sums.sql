-- A sum over the rows of each table, kept by triggers that the program makes (incidents/store/table_sums.py): a byte that
-- a disk changed shows. SQLite only; PostgreSQL has checksums of its own, and there the table stays empty.

CREATE TABLE table_sums (
  name TEXT NOT NULL,
  total BIGINT NOT NULL,
  PRIMARY KEY (name)
)
