"""What comes in, one module a topic; ``panes`` and ``drift_reports``, our own, only at the start."""
