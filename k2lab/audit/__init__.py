"""The audit: recorded exchanges of any form under the catalogue, a table of findings, and what they come to."""
