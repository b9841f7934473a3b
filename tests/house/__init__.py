"""The house's own rules: sizes, repeated code, names. What does not fit stands in ``exceptions.toml`` with a reason."""
