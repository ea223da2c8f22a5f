"""Pure functions on arrays: scores, intervals, calibration, paired tests. No torch, no files, no pages."""
