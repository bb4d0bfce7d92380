"""Parts that two or more of the networks share."""
