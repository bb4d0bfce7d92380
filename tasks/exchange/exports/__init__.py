"""What leaves: one folder an export, with its card, its ledger of licences and a page of statistics."""
