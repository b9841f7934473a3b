"""The settings file ``linli.toml`` and its environment names."""
