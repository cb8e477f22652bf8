"""What a grammar engine can hold of a JSON Schema: translation, and each part that it cannot."""
