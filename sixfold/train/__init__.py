"""The one training loop: optimisers, schedules, events, resumable state. It knows nothing of stages or attacks."""
