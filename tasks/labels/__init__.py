"""Stage `labels`: what is on the ground in each candidate window, from label sources or from the scene's own bands."""
