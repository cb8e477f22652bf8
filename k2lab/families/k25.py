"""K2.5, K2.6 and K2.7: tools are declared as TypeScript, pictures are read."""

from k2lab.families import special
from k2lab.families.records import Family

K2_5 = Family(name="K2.5", declares="typescript", replays="unanswered", added_tokens=special.SEEING)
K2_6 = Family(name="K2.6", declares="typescript", replays="unanswered or all", added_tokens=special.SEEING)
K2_7 = Family(name="K2.7", declares="typescript", replays="all", always_thinks=True, added_tokens=special.SEEING)
