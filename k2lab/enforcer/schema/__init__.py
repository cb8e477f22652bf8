"""What a grammar engine can hold of a JSON Schema: its translation, and each part that the engine cannot."""

from k2lab.enforcer.schema.scalars import LONGEST_STRING
from k2lab.enforcer.schema.translation import KEY_TWICE, Limit, Translated, translate

__all__ = ["KEY_TWICE", "LONGEST_STRING", "Limit", "Translated", "translate"]
