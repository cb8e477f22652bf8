"""K2 and K2-Thinking: tools are declared as JSON, text alone is read."""

from k2lab.families import special
from k2lab.families.records import Family

K2 = Family(name="K2", declares="json", reads_pictures=False, reads_reasoning=False)
K2_THINKING = Family(
    name="K2-Thinking",
    declares="json",
    reads_pictures=False,
    replays="unanswered",
    always_thinks=True,
    added_tokens=special.THINKING,
)
