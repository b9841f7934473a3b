"""Random runs of the real rules: whatever happens to messages and processes, the findings are those of the clean run.

One seed decides everything of a run. ``history`` says what a community lived through, ``happenings`` what went wrong
with its devices, ``carriage`` how their messages came into the log, ``stores`` and ``drivers`` who judged it and how
often they were killed. ``oracle`` has the clean run, and says what differs. ``runs`` puts them together.
"""
