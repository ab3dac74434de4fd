"""What is done about a finding while a model trains.

Owns the words, and what a user's own function may do. Finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_initscope.callbacks.watch import announce
from keras_initscope.records import Finding, Severity


class Response:
    """Responds to findings as `on_finding` asks, in the thread that trains.

    Args:
        on_finding: As `VarianceMonitor` takes it.
        stop: Ends training after the step that is being taken.
    """

    def __init__(self, on_finding: str | Callable[[Finding], object], stop: Callable[[], None]):
        self._on_finding, self._stop = on_finding, stop
        self._has_stopped = self._is_at_fault = False

    def __call__(self, finding: Finding, is_over: bool) -> None:
        """Respond to a finding that is new, while training goes on or when it is over."""
        if callable(self._on_finding):
            self._hand(self._on_finding, finding)
        elif self._on_finding != "ignore":
            announce(sentence(finding) + self._end(finding, is_over))

    def _end(self, finding: Finding, is_over: bool) -> str:
        """Stop where that is asked for, and say so."""
        wanted = self._on_finding == "stop" and finding.severity is Severity.ALARM
        if not wanted or is_over or self._has_stopped:
            return ""
        self._has_stopped = True
        self._stop()
        return ' Training stops here, as on_finding="stop" asks for at an alarm.'

    def _hand(self, function: Callable[[Finding], object], finding: Finding) -> None:
        try:
            function(finding)
        except Exception as error:  # of a function that is not ours; training goes on
            if not self._is_at_fault:
                announce(
                    f"The function given as on_finding failed on finding {finding.code} of step "
                    f"{finding.step}; training goes on. Reason: {type(error).__name__}: {error}"
                )
            self._is_at_fault = True


def sentence(finding: Finding) -> str:
    """A finding as a warning reads it: what, how sure, when and where; evidence; remedy."""
    return (
        f"{finding.code} {finding.title} ({finding.severity}) at step {finding.step} in "
        f"{finding.where}. {finding.message} What to do: {finding.remedy}"
    )
