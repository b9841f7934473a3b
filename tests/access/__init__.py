"""Who may do what: tables in one place, tried one cell after the other, and shown in docs/access.md."""
