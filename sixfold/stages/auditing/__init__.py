"""What an audit stage measures, one file a question. The stage itself: ``stages/audit.py``."""
