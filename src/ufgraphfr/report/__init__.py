"""One HTML file about runs: results, curves, groups, privacy, costs and settings; no network."""

from ufgraphfr.report.gather import RunFacts, gather
from ufgraphfr.report.page import report_page

__all__ = ["RunFacts", "gather", "report_page"]
