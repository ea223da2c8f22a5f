"""What a converse stage measures and shows of a model's answers. The stage itself: ``stages/converse.py``."""
