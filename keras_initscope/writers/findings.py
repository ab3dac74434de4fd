"""Findings as text: Markdown for a person, JSON for a dashboard.

Owns how they read. Judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from keras_initscope.records import Finding
from keras_initscope.writers.jsonlines import strict

_NAMED = 20  # layers that are named on the page


def findings_page(findings: Sequence[Finding]) -> str:
    """Findings as Markdown.

    Args:
        findings: What is wrong at one step.

    Returns:
        For each finding what it is, where, what shows it and what to do, under a heading.
    """
    if not findings:
        return "Nothing is found to be wrong."
    return "\n\n".join(map(_section, findings))


def _section(finding: Finding) -> str:
    named = ", ".join(f"`{path}`" for path in finding.layers[:_NAMED]) or finding.where
    left_out = len(finding.layers) - _NAMED
    points = {
        "Severity": f"{finding.severity}: {finding.severity.meaning}.",
        "Where": f"{named} and {left_out} more." if left_out > 0 else f"{named}.",
        "What is seen": finding.message,
        "What to do": finding.remedy,
    }
    lines = [f"- **{name}**: {text}" for name, text in points.items()]
    return "\n".join([f"### {finding.code} {finding.title}", "", *lines])


def findings_json(findings: Sequence[Finding]) -> str:
    """Findings as JSON text: a list of their fields, numbers that JSON does not know as strings."""
    return json.dumps([strict(asdict(finding)) for finding in findings], allow_nan=False)
