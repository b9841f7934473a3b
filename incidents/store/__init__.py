"""The incidents database: tables, migrations, SQLite and PostgreSQL."""
