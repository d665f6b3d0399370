"""The history of the tables; each change of `models` adds a step here."""
