"""The compiled form of `pronghorn._wire`: modules of the same names, absent where no compiler was."""
