"""One file per ``linli`` command; app.main loads each only when it is called."""
