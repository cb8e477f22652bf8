"""K3, as far as a history goes: its format has no ids and its texts are encoded each by itself."""

from k2lab.families import special
from k2lab.families.records import Family

K3 = Family(name="K3", declares=None, numbers_ids=False, added_tokens=special.XTML, encodes_apart=True)
"""Known by name alone. Its calls are counted from 1 anew in each message by its own renderer, so that renamed ids
would only be wrong; whether it needs the reasoning of earlier turns is not known here."""
