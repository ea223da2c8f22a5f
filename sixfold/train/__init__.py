"""The one training loop: optimisers, schedules, events, resumable state. It knows nothing of files, tasks' names or stages."""
