"""Does the operator heal real drift? The whole operator in a closed loop, beside detectors of river."""
