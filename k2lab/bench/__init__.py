"""The benchmark: requests from a file, to a server, into one SQLite file, and what the answers are worth.

``samples`` reads requests, ``arm`` says how they are sent, ``client`` sends one,
``stream`` puts a streamed answer together, ``runner`` sends them all, ``store``
keeps every answer, as ``records``, in ``tables``. ``judged`` has each with its
verdict (of :mod:`k2lab.findings.verdicts`). ``metrics`` counts
verdicts, ``summary`` sums an arm up, ``published`` has the figures of others,
``standing`` says where an arm stands beside them, ``prompt_tokens`` whether
prompts are as long as a reference says, ``planning`` how many requests a
difference takes. ``matrix_file`` reads which vendors are asked for which models,
``vendor_runs`` asks them, as ``vendor_processes`` or ``vendor_actors``, and
``vendor_report`` sums up what came. ``kvv`` reads the cases of Kimi-Vendor-Verifier. ``casebook``
picks answers out and ``again`` sends one once more, ``k2vv`` exchanges
results with K2-Vendor-Verifier.
"""
