"""The join and its counts; knows no framework."""
