"""The trainer: notices an alert, trains on the right rows, promotes what is proven better."""
