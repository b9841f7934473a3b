"""What becomes of one message: decode, admit, date, limit, batch. Pure."""
