"""A look at what stands in a record and nobody looked at: the proxy was killed, or had no time, or was told not to."""

from __future__ import annotations

from collections import Counter

from k2lab.traffic.looker import Job
from k2lab.traffic.looking import in_time
from k2lab.traffic.recordfile import Record


def look_back(record: Record) -> Counter[str]:
    """Look at every exchange that was not looked at, or not in time, as it is written, and note what is found.

    Counts are ``yes`` and ``cannot``, and ``findings`` for exchanges that have one.

    >>> from k2lab.traffic import recordfile
    >>> from k2lab.traffic.exchanges import Passed
    >>> passed = Passed(key="1", started_at=1.0, method="POST", path="/v1/chat/completions", status=200,
    ...     ended="whole", request=b'{"messages": [{"role": "user", "content": "Hi"}]}',
    ...     answer=b'{"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": ""}}]}')
    >>> with recordfile.writing("unlooked.db") as record:
    ...     record.add([recordfile.Entry(passed=passed)], {})
    ...     look_back(record), [entry.findings[0].code for entry in record.exchanges()]
    (Counter({'yes': 1, 'findings': 1}), ['A111'])
    """
    counts: Counter[str] = Counter()
    above = 0
    while page := record.unlooked(above=above):
        told = [(number, *in_time(Job(passed=entry.passed))) for number, entry in page]
        record.note(told)
        above = page[-1][0]
        counts.update(looked for _, looked, _ in told)
        counts["findings"] += sum(bool(found) for _, _, found in told)
    return counts
