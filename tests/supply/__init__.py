"""What the product is made of and whether something is known to be wrong with it: ``make sbom``, ``make audit``."""
