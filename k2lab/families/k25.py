"""K2.5, K2.6 and K2.7: tools are declared as TypeScript."""

from k2lab.families.records import Family

K2_5 = Family(name="K2.5", declares="typescript")
K2_6 = Family(name="K2.6", declares="typescript")
K2_7 = Family(name="K2.7", declares="typescript")
