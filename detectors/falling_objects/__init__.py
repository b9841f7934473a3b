"""Things that fall past a facade."""
