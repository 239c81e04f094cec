"""Tools that measure and build RenalSeg; not part of the wheel."""
