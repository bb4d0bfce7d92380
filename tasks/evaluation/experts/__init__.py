"""What the router and the experts of RS-MoE do on held-out chips: whether they differ, and whether it matters who is
asked.
"""
