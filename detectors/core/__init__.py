"""What every rule is made of: the contract of a rule, what it sees of its site, the codes of its facts."""
