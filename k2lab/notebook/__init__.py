"""What a notebook needs, in one import line: the front door's names, the modules of an experiment, and its own."""

from typing import TYPE_CHECKING

from k2lab.lazy import loader

if TYPE_CHECKING:
    from k2lab import enforcer, repairs, wire
    from k2lab.audit.auditrun import run_audit
    from k2lab.bench import metrics
    from k2lab.chat import Exchange, Request
    from k2lab.doctor import examination
    from k2lab.enforcer import ask
    from k2lab.findings import chosen
    from k2lab.findings.exchanges import of_exchange
    from k2lab.findings.histories import of_history
    from k2lab.nano import (
        agent,
        benchmark,
        evaluate,
        folders,
        histories,
        synth,
        thinkingreplay,
        thinkingturns,
        threeways,
        xtmltalks,
    )
    from k2lab.notebook import ladder, published
    from k2lab.notebook.examples import conversation, exchange
    from k2lab.notebook.outcome import record
    from k2lab.notebook.provenance import origins
    from k2lab.notebook.proxying import proxied
    from k2lab.notebook.questions import Questions
    from k2lab.notebook.servers import connect, log_lines
    from k2lab.paths import results_dir
    from k2lab.prompt import templates
    from k2lab.prompt.alignment import diff
    from k2lab.prompt.rendering import render
    from k2lab.prompt.served import as_served
    from k2lab.prompt.source import open_source
    from k2lab.server import parsers, probes
    from k2lab.server.endpoint import Endpoint
    from k2lab.server.probes import probe
    from k2lab.show import plots, views
    from k2lab.show.audits import audit_view
    from k2lab.shrink import Live, issue_text, shrunk
    from k2lab.widgets.benchrun import run_bench
    from k2lab.widgets.explorer import explore
    from k2lab.widgets.playground import play
    from k2lab.widgets.runs import browse
    from k2lab.widgets.trafficbrowser import browse_traffic

__all__ = [
    "Endpoint",
    "Exchange",
    "Live",
    "Questions",
    "Request",
    "agent",
    "as_served",
    "ask",
    "audit_view",
    "benchmark",
    "browse",
    "browse_traffic",
    "chosen",
    "connect",
    "conversation",
    "diff",
    "enforcer",
    "evaluate",
    "examination",
    "exchange",
    "explore",
    "folders",
    "histories",
    "issue_text",
    "ladder",
    "log_lines",
    "metrics",
    "of_exchange",
    "of_history",
    "open_source",
    "origins",
    "parsers",
    "play",
    "plots",
    "probe",
    "probes",
    "proxied",
    "published",
    "record",
    "render",
    "repairs",
    "results_dir",
    "run_audit",
    "run_bench",
    "shrunk",
    "synth",
    "templates",
    "thinkingreplay",
    "thinkingturns",
    "threeways",
    "views",
    "wire",
    "xtmltalks",
]

_PLACES = {
    "Endpoint": "k2lab.server.endpoint:Endpoint",
    "Exchange": "k2lab.chat:Exchange",
    "Live": "k2lab.shrink:Live",
    "Questions": "k2lab.notebook.questions:Questions",
    "Request": "k2lab.chat:Request",
    "agent": "k2lab.nano.agent",
    "as_served": "k2lab.prompt.served:as_served",
    "ask": "k2lab.enforcer.ask",
    "audit_view": "k2lab.show.audits:audit_view",
    "benchmark": "k2lab.nano.benchmark",
    "browse": "k2lab.widgets.runs:browse",
    "browse_traffic": "k2lab.widgets.trafficbrowser:browse_traffic",
    "chosen": "k2lab.findings:chosen",
    "connect": "k2lab.notebook.servers:connect",
    "conversation": "k2lab.notebook.examples:conversation",
    "diff": "k2lab.prompt.alignment:diff",
    "enforcer": "k2lab.enforcer",
    "evaluate": "k2lab.nano.evaluate",
    "examination": "k2lab.doctor.examination",
    "exchange": "k2lab.notebook.examples:exchange",
    "explore": "k2lab.widgets.explorer:explore",
    "folders": "k2lab.nano.folders",
    "histories": "k2lab.nano.histories",
    "issue_text": "k2lab.shrink:issue_text",
    "ladder": "k2lab.notebook.ladder",
    "log_lines": "k2lab.notebook.servers:log_lines",
    "metrics": "k2lab.bench.metrics",
    "of_exchange": "k2lab.findings.exchanges:of_exchange",
    "of_history": "k2lab.findings.histories:of_history",
    "open_source": "k2lab.prompt.source:open_source",
    "origins": "k2lab.notebook.provenance:origins",
    "parsers": "k2lab.server.parsers",
    "play": "k2lab.widgets.playground:play",
    "plots": "k2lab.show.plots",
    "probe": "k2lab.server.probes:probe",
    "probes": "k2lab.server.probes",
    "proxied": "k2lab.notebook.proxying:proxied",
    "published": "k2lab.notebook.published",
    "record": "k2lab.notebook.outcome:record",
    "render": "k2lab.prompt.rendering:render",
    "repairs": "k2lab.repairs",
    "results_dir": "k2lab.paths:results_dir",
    "run_audit": "k2lab.audit.auditrun:run_audit",
    "run_bench": "k2lab.widgets.benchrun:run_bench",
    "shrunk": "k2lab.shrink:shrunk",
    "synth": "k2lab.nano.synth",
    "templates": "k2lab.prompt.templates",
    "thinkingreplay": "k2lab.nano.thinkingreplay",
    "thinkingturns": "k2lab.nano.thinkingturns",
    "threeways": "k2lab.nano.threeways",
    "views": "k2lab.show.views",
    "wire": "k2lab.wire",
    "xtmltalks": "k2lab.nano.xtmltalks",
}

__all__ = [*sorted(_PLACES)]
__getattr__ = loader(globals(), _PLACES)
