"""What a recipe may say, and reading one: `load` is the door, `schema` the language."""
