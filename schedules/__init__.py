"""Jobs on a schedule for Django and RQ: nothing lost, nothing twice, everything accounted for."""
