"""K2 and K2-Thinking: tools are declared as JSON."""

from k2lab.families.records import Family

K2 = Family(name="K2", declares="json")
K2_THINKING = Family(name="K2-Thinking", declares="json")
