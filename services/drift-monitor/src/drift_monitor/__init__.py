"""The drift-monitor: predictions in, panes of counts, tested windows and alerts out."""
