"""Results in, one self-contained HTML page out: blocks (plain data), drawings, templates. Measuring is ``metrics``."""
