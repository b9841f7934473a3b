"""HTTP as every receiver speaks it: one reading of statuses, one check of addresses, one bounded exchange."""
