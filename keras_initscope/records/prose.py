"""What reports say in plain words, to a person who knows Keras and no theory of signals.

Owns the words for findings and for the columns of tables. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import indent

from keras_initscope.records.finding import Finding, Severity
from keras_initscope.records.page import WIDTH, Section
from keras_initscope.records.remedy import Remedy
from keras_initscope.text import wrapped

WHAT_IS_WRONG = "What is wrong"
HOW_TO_READ = "How to read the table"

SIGNAL = (
    "signal",
    "how large the numbers are that the layer gives on: the average of their squares over the "
    "batch (mean square). Good: no steady rise or fall from the first layer to the last. A single "
    "jump is normal where the kind of layer changes (pooling, a softmax at the end). If it shrinks "
    "at layer after layer, deep layers get next to nothing of the input; if it grows at layer "
    "after layer, they get numbers too large to learn from.",
)
SHARE = (
    "share",
    "signal share, the part of the signal by which one example differs from another, from 0 to 1. "
    "The rest is the same whatever the input. Good: not falling towards 0 with depth. Near 0 the "
    "layer gives the same for every example, and nothing behind it can tell them apart.",
)
GRADIENT = (
    "gradient",
    "mean square of the derivative of the loss by what enters the layer's activation function (by "
    "its output, if it has none). How large it is depends on the loss and the batch, so compare "
    "layers with each other. Good: no steady fall from the last layer back to the first. A single "
    "jump is normal where the number of values changes (pooling, flattening). Layers where it is "
    "far smaller than in others of their kind learn far more slowly.",
)
THEORY = (
    "theory",
    "what the column to its left should be, computed from the sizes of inputs and weights alone, "
    "before anything runs.",
)
RATIO = (
    "ratio",
    "measured / theory. Near 1 the layer does what its initial weights make it do, be that good or "
    "bad. Far from 1 something else is at work: few units, or weights that have learnt or depend "
    "on each other.",
)
# The rule of thumb is Karpathy's (Stanford CS231n, "Neural Networks Part 3", ratio of updates).
UPDATE = (
    "update",
    "by what share of its own size one training step moves the layer's kernel. Around 0.001 is a "
    "rule of thumb. At 0.0000001 the layer stands still; near 1 each step throws away what the "
    "layer was.",
)
IDLE = (
    "idle",
    "units that learn next to nothing, since their activation function is flat for all or most "
    "examples: a ReLU that is never positive is dead, a sigmoid or tanh far from 0 is saturated. "
    "Good: less than half.",
)
PREACTIVATION = (
    "preactivation",
    "what a layer computes from its inputs and weights, before its activation function.",
)
#: What is put where a row has no number.
DASH = ("-", "not measured, or not there: a layer without weights has no update.")

_ARTICLE = {Severity.WARNING: "A", Severity.ALARM: "An"}
_NOT_ALL = (
    "That is no promise that the model learns well: learning rate, data and size of the model may "
    "still not suit the task."
)


def wrong(
    findings: Sequence[Finding],
    checked: Sequence[str],
    unchecked: Mapping[str, str],
    seen: Sequence[str] = (),
) -> Section:
    """The section on what is wrong, which always comes first.

    Args:
        findings: What is wrong.
        checked: Titles of the rules that could speak.
        unchecked: Title of each rule that could not, and why.
        seen: When each finding was seen, where that is more than one look.

    Returns:
        The section.
    """
    title = f"{WHAT_IS_WRONG}: {_count(findings, checked)}"
    when = seen or [""] * len(findings)
    blocks = [_lines(each, then) for each, then in zip(findings, when, strict=True)]
    heads = [f"{i}. {_head(each)}" for i, each in enumerate(findings, 1)]
    closing = _closing(findings, checked, unchecked)
    plain = [
        "\n".join([head, *(wrapped(f"{name}: {value}", WIDTH, "   ") for name, value in block)])
        for head, block in zip(heads, blocks, strict=True)
    ]
    marked = [
        "\n".join([f"### {head}\n", *(f"- **{name}:** {value}" for name, value in block)])
        for head, block in zip(heads, blocks, strict=True)
    ]
    return Section(
        title,
        "\n\n".join([*plain, *(wrapped(each, WIDTH) for each in closing)]),
        "\n\n".join([*marked, *closing]),
    )


def tried(remedies: Sequence[Remedy]) -> list[Section]:
    """The section on what was seen to help, none where nothing was."""
    if not remedies:
        return []
    plain = [f"{wrapped(str(each), WIDTH)}\n\n{indent(each.line, '    ')}" for each in remedies]
    marked = [f"{each}\n\n```python\n{each.line}\n```" for each in remedies]
    return [Section("What helped on a copy", "\n\n".join(plain), "\n\n".join(marked))]


def _count(findings: Sequence[Finding], checked: Sequence[str]) -> str:
    counts = [(kind, sum(f.severity is kind for f in findings)) for kind in reversed(Severity)]
    words = [f"{count} {kind}{'s' * (count > 1)}" for kind, count in counts if count]
    nothing = "nothing was found" if checked else "nothing was looked for"
    return " and ".join(words) or nothing


def _head(finding: Finding) -> str:
    return f"{finding.title} ({finding.severity}, rule {finding.code})"


def _lines(finding: Finding, when: str) -> list[tuple[str, str]]:
    lines = [
        ("Where", _where(finding.layers)),
        ("When", when),
        ("Seen", finding.message),
        ("Why it matters", finding.explanation),
        ("What to change", finding.remedy),
    ]
    return [(name, value) for name, value in lines if value]


def _where(layers: Sequence[str]) -> str:
    """The first layer and how many more; few ones by name."""
    if not layers:
        return "the whole network."
    if len(layers) <= 3:
        return f"{', '.join(layers)}."
    return f"first in {layers[0]}; then in {len(layers) - 1} more layers, the last {layers[-1]}."


def _closing(
    findings: Sequence[Finding], checked: Sequence[str], unchecked: Mapping[str, str]
) -> list[str]:
    """What the severities mean, what else was looked for, and what could not be."""
    found = {each.title for each in findings}
    kinds = {each.severity for each in findings}
    others = [title for title in checked if title not in found]
    known = [kind for kind in reversed(Severity) if kind in kinds]
    parts = [f"{_ARTICLE[kind]} {kind}: {kind.meaning}." for kind in known]
    if others and findings:
        parts.append(f"Also looked for, and not found or explained by the above: {_names(others)}.")
    elif others:
        parts.append(f"Looked for, and not found: {_names(others)}. {_NOT_ALL}")
    reasons: dict[str, list[str]] = {}
    for title, reason in unchecked.items():
        reasons.setdefault(reason, []).append(title)
    parts += [f"Not looked for: {_names(them)}. Reason: {why}" for why, them in reasons.items()]
    return parts


def _names(titles: Sequence[str]) -> str:
    return ", ".join(title[:1].lower() + title[1:] for title in titles)
