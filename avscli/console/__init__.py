"""What the person at the terminal sees: progress and messages on stderr, results on stdout."""

from avscli.console.bars import counting, progress
from avscli.console.messages import bug, error, interrupted, note, result, result_json, table, warn
from avscli.console.reports import show_demo, show_report
from avscli.console.streams import standard_streams

__all__ = [
    "bug",
    "counting",
    "error",
    "interrupted",
    "note",
    "progress",
    "result",
    "result_json",
    "show_demo",
    "show_report",
    "standard_streams",
    "table",
    "warn",
]
