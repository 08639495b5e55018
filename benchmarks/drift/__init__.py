"""Does the operator heal real drift? Its decisions in a closed loop, beside detectors of river."""
