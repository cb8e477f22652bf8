"""Traffic: the proxy in front of a server that repairs, holds and records, and the file of what went through it."""
