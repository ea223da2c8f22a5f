"""One file a task: its columns, how a row becomes tokens and targets, its loss terms, predictions and metrics."""
