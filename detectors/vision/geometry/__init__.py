"""What a person draws on a picture, and the perspective of a facade."""
