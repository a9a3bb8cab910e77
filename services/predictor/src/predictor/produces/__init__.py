"""What goes out: one record per scored batch."""
