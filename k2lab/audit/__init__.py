"""The audit: recorded exchanges of any form under the catalogue, a table of findings, and what they come to.

``sources`` finds files and tells what each is, ``forms`` turn a line or a row
into exchanges, ``units`` are the pieces of work that files are cut into.
``standardinput`` keeps what comes by a pipe.
``tables`` has the two schemas, ``looking`` the one function between them.
``processpool`` runs units in processes, ``cluster`` on Ray; ``parts`` keeps what each
gave, ``tallies`` adds up, ``datasets`` writes Parquet, ``changepoints`` finds
when a share changed, ``summary`` sums up, and ``auditrun`` puts it together.
"""
