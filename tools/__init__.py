"""What measures and builds RenalSeg; not part of the wheel."""
