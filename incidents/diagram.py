"""The state diagram of alerts, generated from the table that the code decides by."""

from __future__ import annotations

from contracts.incidents import ALERT_TABLE, FINAL_ALERT_STATES, AlertState


def alert_diagram() -> str:
    """The alert table as a Mermaid state diagram, the same text for the same table."""
    lines = ["stateDiagram-v2", f"    [*] --> {AlertState.NEW}"]
    lines += [f"    {state} --> {target}: {action}" for (state, action), target in sorted(ALERT_TABLE.items())]
    lines += [f"    {state} --> [*]" for state in sorted(FINAL_ALERT_STATES)]
    return "\n".join(lines) + "\n"
