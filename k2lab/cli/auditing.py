"""``k2lab audit``: recorded exchanges of any form, looked at in bulk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab.cli.common import as_record
from k2lab.cli.printing import note, print_json, print_text, terminal_width
from k2lab.cli.progress import show_progress

if TYPE_CHECKING:
    from k2lab.audit.auditrun import AuditOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    """What is known beside the files, which exchanges and which findings count."""

    form: str | None
    model: str | None
    vendor: str | None
    where: str
    select: tuple[str, ...]
    ignore: tuple[str, ...]

    def options(self) -> AuditOptions:
        """The same as the library takes it."""
        from k2lab.audit.auditrun import AuditOptions
        from k2lab.findings import chosen

        known = {"form": self.form, "model": self.model, "vendor": self.vendor, "where": self.where}
        return AuditOptions(**known, names=chosen(self.select, self.ignore))  # type: ignore[arg-type]


@click.command(name="audit")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The folder to write into.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="Processes of this machine, or Ray: the cluster of RAY_ADDRESS, or a local one.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes; by default one for each core.")
@click.option("--where", default="", metavar="CONDITION",
              help="Only these exchanges: \"model = 'kimi-k2' and day >= '2026-11-01'\".")  # fmt: skip
@click.option("--form", default=None, help="What the records are; by default their content says.")
@click.option("--model", default=None, help="Name of the model, such as kimi-k2.5, whatever a request says.")
@click.option("--vendor", default=None, help="Who served it, where a record does not say.")
@click.option("--select", multiple=True, metavar="CODE", help="Only these findings, by code, name or its beginning.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Not these findings.")
@click.option("--json", "as_data", is_flag=True, help="Print the summary as JSON.")
@as_record("audited", Audited)
def audit_command(
    audited: Audited, paths: tuple[str, ...], out: Path, engine: str, workers: int | None, as_data: bool
) -> None:
    """Say what is wrong in recorded exchanges, however many.

    A PATH is a file, a folder or a pattern, or - for standard input:
    K2-Vendor-Verifier's results, batches of OpenAI's API (input and output),
    litellm's and langfuse's logs, OpenTelemetry's gen_ai messages, a benchmark file,
    a record of k2lab proxy, JSONL or Parquet with requests and answers; packed with
    gzip or zstd, too. DIR gets the findings as
    Parquet by model, vendor and day, summary.json and report.html. What could not be
    read is counted and named, and never taken for clean. An audit that was ended
    goes on where it was, given the same again.

    Exits with 0 when nothing is wrong, with 1 when something is, and with 2 when
    something could not be looked at. k2lab explain says more of a code.
    """
    from k2lab.audit.auditrun import run_audit
    from k2lab.jsonable import as_json
    from k2lab.show.audits import audit_view, write_report

    with show_progress() as tell:
        summary = run_audit(
            paths, out, audited.options(), engine=engine, workers=workers,  # type: ignore[arg-type]
            tell=lambda line, done, of: tell(line, done=done, of=of or None),
        )  # fmt: skip
    write_report(out, summary)
    if as_data:
        print_json(as_json(summary))
    else:
        print_text(audit_view(summary, width=terminal_width()).text)
        note(f"report.html has pictures, findings every one of them, summary.json the counts: all in {out}")
    for path, why in summary.refused:
        note(why if path in why else f"{path}: {why}")
    raise click.exceptions.Exit(summary.status)
