"""The training loop and what it keeps: batches, running averages, records, and the state that a resumed run needs."""
