"""The history of the API's tables; each change of `models` adds a step here."""
