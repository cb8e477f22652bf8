"""The benchmark: requests from a file, to a server, into one SQLite file, and what the answers are worth.

``samples`` reads requests, ``arm`` says how they are sent, ``client`` sends one,
``runner`` sends them all, ``store`` keeps every answer, ``verdicts`` judges one
answer and its calls, ``answers`` what is wrong with it as a whole, ``metrics``
counts them, ``k2vv`` exchanges them with K2-Vendor-Verifier.
"""
