"""Training and export of the models the project ships. Own environment: see README.md."""
