"""``python -m sixfold``, as ``torchrun`` starts it."""

from sixfold.cli import main

main()
