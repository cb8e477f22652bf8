"""Files under the catalogue, without a server: what is wrong with what someone has in hand.

``forms`` tells what a value is and ``opening`` what a file holds; ``requests``,
``tools``, ``answers``, ``outputs`` and ``streams`` find what is wrong with each,
``places`` where it stands, and ``looking`` puts it together.
"""

from k2lab.check.looking import Look, look_at, look_at_bytes
from k2lab.check.records import KINDS, Checked, Found, Kind

__all__ = ["KINDS", "Checked", "Found", "Kind", "Look", "look_at", "look_at_bytes"]
